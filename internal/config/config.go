// Package config reads the configuration file: TOML to structs, with defaults,
// and with every fault of the file reported at once. The people of the users file,
// to whom the file may refer, are read with it.
//
// configs/outpost.toml is the manual: each key stands there with its default,
// its unit and one reason, and a test holds the two together. Outside names
// carry their unit (_seconds, _bytes, _bps); inside, the accessors give typed
// values. Only cmd/outpost imports this package: it pushes each part down as
// the options of the package that needs it.
//
// The package opens no port, makes no connection and writes no file.
package config

import "time"

// Config is a whole configuration file with its defaults filled in.
type Config struct {
	Office  Office  `toml:"office"`
	Storage Storage `toml:"storage"`
	SMTP    SMTP    `toml:"smtp"`
	IMAP    IMAP    `toml:"imap"`
	// Users are those of the file, and behind them those who stand in
	// storage.users_file only.
	Users     []User         `toml:"user"`
	Folders   []Folder       `toml:"folder"`
	Lists     []List         `toml:"list"`
	Servers   []OfficeServer `toml:"server"`
	Delivery  Delivery       `toml:"delivery"`
	Smarthost *Smarthost     `toml:"smarthost"`
	Boxes     []Box          `toml:"box"`
	Hold      Hold           `toml:"hold"`
	Rules     []Rule         `toml:"rule"`
	Bounce    Bounce         `toml:"bounce"`
	Lines     []Line         `toml:"line"`
	TLS       TLS            `toml:"tls"`
	Schedule  Schedule       `toml:"schedule"`
	Log       Log            `toml:"log"`

	// profiles are the modem profiles the lines name, by that name.
	profiles map[string]Modem
}

// Office is who the office is.
type Office struct {
	Name       string   `toml:"name"`
	Domains    []string `toml:"domains"`
	Postmaster string   `toml:"postmaster"`
}

// Storage is where everything at rest lies.
type Storage struct {
	Dir           string `toml:"dir"`
	MinFreeBytes  int64  `toml:"min_free_bytes"`
	MinFreeInodes int64  `toml:"min_free_inodes"`
	Socket        string `toml:"socket"`
	UsersFile     string `toml:"users_file"`
}

// SMTP is the office network's door for mail that is handed in.
type SMTP struct {
	Listen          []string `toml:"listen"`
	ListenTLS       []string `toml:"listen_tls"`
	TrustedNetworks []string `toml:"trusted_networks"`
	SignInOutside   bool     `toml:"sign_in_outside"`
	CertFile        string   `toml:"cert_file"`
	KeyFile         string   `toml:"key_file"`
	MaxMessageBytes int64    `toml:"max_message_bytes"`
	MaxRecipients   int      `toml:"max_recipients"`
	MaxConnections  int      `toml:"max_connections"`
}

// IMAP is the office network's door to the mailboxes. Nothing to listen at in both
// lists: there is no such door.
type IMAP struct {
	Listen         []string `toml:"listen"`
	ListenTLS      []string `toml:"listen_tls"`
	MaxConnections int      `toml:"max_connections"`
}

// TLS is what all connections to servers at the provider have in common.
type TLS struct {
	PostQuantum bool `toml:"post_quantum"`
}

// Smarthost is the provider's server for outgoing mail.
type Smarthost struct {
	Server
	Hello string `toml:"hello"`
}

// Server is what the smarthost, a box and a server of the office have in common.
type Server struct {
	Host         string `toml:"host"`
	Port         int    `toml:"port"`
	TLS          string `toml:"tls"`
	CAFile       string `toml:"ca_file"`
	User         string `toml:"user"`
	Password     string `toml:"password"`
	PasswordFile string `toml:"password_file"`
	AllowPlain   bool   `toml:"allow_plain_password"`
	Silence      int    `toml:"silence_seconds"`
}

// Line is a configured way up. A key with kinds in its tag has a meaning on lines
// of those kinds only.
type Line struct {
	Name           string      `toml:"name"`
	Kind           string      `toml:"kind"`
	Port           string      `toml:"port" kind:"modem pppd"`
	Baud           int         `toml:"baud" kind:"modem pppd"`
	FlowControl    string      `toml:"flow_control" kind:"modem pppd"`
	Modem          string      `toml:"modem" kind:"modem pppd"`
	Number         string      `toml:"number" kind:"modem pppd"`
	Numbers        []string    `toml:"numbers" kind:"modem pppd"`
	APN            string      `toml:"apn" kind:"modem pppd"`
	PDPType        string      `toml:"pdp_type" kind:"modem pppd"`
	CID            int         `toml:"cid" kind:"modem pppd"`
	PIN            string      `toml:"pin" kind:"modem pppd"`
	PINFile        string      `toml:"pin_file" kind:"modem pppd"`
	Roaming        *bool       `toml:"roaming" kind:"modem pppd"`
	MinSignal      int         `toml:"minimum_signal" kind:"modem pppd"`
	Country        string      `toml:"country" kind:"modem pppd"`
	Volume         string      `toml:"volume" kind:"modem pppd"`
	LoginAbort     []string    `toml:"login_abort" kind:"modem pppd"`
	Login          []LoginStep `toml:"login" kind:"modem pppd"`
	User           string      `toml:"user" kind:"modem pppd"`
	Password       string      `toml:"password" kind:"modem pppd"`
	PasswordFile   string      `toml:"password_file" kind:"modem pppd"`
	DefaultRoute   bool        `toml:"default_route" kind:"pppd"`
	Unit           int         `toml:"unit" kind:"pppd"`
	PPPDOptions    []string    `toml:"pppd_options" kind:"pppd"`
	Guard          bool        `toml:"guard" kind:"pppd net"`
	Interface      string      `toml:"interface" kind:"net"`
	UpCommand      []string    `toml:"up_command" kind:"net"`
	DownCommand    []string    `toml:"down_command" kind:"net"`
	CommandSeconds int         `toml:"command_seconds" kind:"net"`
	AddressSeconds int         `toml:"address_seconds" kind:"net"`
	DNS            []string    `toml:"dns" kind:"net"`
	RateBPS        int         `toml:"rate_bps"`
	RoundTripMS    int         `toml:"round_trip_ms"`
	Boxes          int         `toml:"boxes_at_once"`
	MaxCallMinutes int         `toml:"max_call_minutes"`
	Tariff         Tariff      `toml:"tariff"`
}

// LoginStep is one step of the log-in in text that a far end may hold before PPP.
type LoginStep struct {
	Expect         string `toml:"expect"`
	Send           string `toml:"send"`
	NoReturn       bool   `toml:"no_return"`
	Secret         bool   `toml:"secret"`
	TimeoutSeconds int    `toml:"timeout_seconds"`
}

// Tariff is what a line costs. Amounts are decimal text, never floats.
type Tariff struct {
	Currency       string `toml:"currency"`
	SetUp          string `toml:"set_up"`
	PerMinute      string `toml:"per_minute"`
	UnitSeconds    int    `toml:"unit_seconds"`
	MinimumSeconds int    `toml:"minimum_seconds"`
	Decimals       int    `toml:"decimals"`
	Bands          []Band `toml:"band"`
}

// Band is the price a minute in some hours of the week, by the schedule's clock.
type Band struct {
	Days      string `toml:"days"`
	From      string `toml:"from"`
	To        string `toml:"to"`
	PerMinute string `toml:"per_minute"`
}

// Schedule is when calls are placed without being asked for.
type Schedule struct {
	Calls    []string `toml:"calls"`
	TimeZone string   `toml:"time_zone"`
}

// Log is what the daemon writes down.
type Log struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// Patience is how long the server may be silent before it is given up.
func (s Server) Patience() time.Duration { return time.Duration(s.Silence) * time.Second }

// RoundTrip is the line's round trip time.
func (l Line) RoundTrip() time.Duration { return time.Duration(l.RoundTripMS) * time.Millisecond }

// MaxCall is the hard limit of a call.
func (l Line) MaxCall() time.Duration { return time.Duration(l.MaxCallMinutes) * time.Minute }

// Location is the schedule's time zone; a validated configuration has one.
func (s Schedule) Location() *time.Location {
	if s.TimeZone == "" {
		return time.Local
	}
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		return time.Local
	}
	return zone
}
