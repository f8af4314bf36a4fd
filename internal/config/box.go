package config

// Box is a POP3 account at the provider.
type Box struct {
	Server
	Name            string    `toml:"name"`
	DeliverTo       []string  `toml:"deliver_to"`
	CatchAll        *CatchAll `toml:"catch_all"`
	Auth            string    `toml:"auth"`
	TokenCommand    []string  `toml:"token_command"`
	Leave           string    `toml:"leave"`
	LeaveDays       int       `toml:"leave_days"`
	HoldAboveBytes  *int64    `toml:"hold_above_bytes"`
	HoldExpireDays  *int      `toml:"hold_expire_days"`
	MaxMessageBytes int64     `toml:"max_message_bytes"`
}

// CatchAll says how a box that has the mail of a whole domain is taken apart.
type CatchAll struct {
	Domains []string `toml:"domains"`
	Headers []string `toml:"headers"`
	Prefix  string   `toml:"prefix"`
	Ignore  []string `toml:"ignore"`
	ToCc    bool     `toml:"to_cc"`
	Server  string   `toml:"server"`
	Unknown []string `toml:"unknown"`
}

// The words of a box's leave key: how long a message stays on the server once it is
// safely stored here.
const (
	LeaveNever  = "never"
	LeaveAlways = "always"
	LeaveDays   = "days" // leave_days
	LeaveRead   = "read" // until it was read here
)

// envelopeHeaders are where providers put the envelope's recipient, the surest first.
// Received is the last because it is the only one that mail from anywhere has.
func envelopeHeaders() []string {
	return []string{"Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "Received"}
}

func (b Box) where(i int) string { return where("box", i, b.Name) }
