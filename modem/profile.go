package modem

import "time"

// Profile is what a kind of modem needs. A zero field has the default named beside it;
// the zero Profile is [Generic] without its init steps.
type Profile struct {
	Name string // for people

	Init       []Step // sent in order by Modem.Init, after echo and result codes are settled
	DialPrefix string // before the number; "": ATDT
	DialSuffix string // behind it

	// DialTimeout is from the dial command to CONNECT. 0: 90 s. The modem's own limit
	// (S7) is 50 to 60 s on most, training at poor lines included; satellite handsets take up to 75.
	DialTimeout time.Duration
	// CommandTimeout is for the answer to an ordinary command. 0: 3 s. Most answer within
	// 0.1 s; ATZ takes up to 1.5 s, a mobile modem that searches for its network up to 3.
	CommandTimeout time.Duration
	// AbortTimeout is for the modem's word after a dial was stopped. 0: 3 s. The
	// hang-up that follows does not depend on it.
	AbortTimeout time.Duration
	// DTRTimeout is how long the carrier may take to go after DTR was dropped. 0: 2 s.
	// The modem must see DTR low for S25 (50 ms) and may say goodbye to the far modem first.
	DTRTimeout time.Duration
	// DTRPulse is how long DTR is held low where no carrier can be watched. 0: 500 ms,
	// ten times the usual S25.
	DTRPulse time.Duration
	// GuardTime is the silence before and after +++. 0: 1.2 s: S12 is 1 s on every modem we
	// know, and the modem's clock and the serial driver's buffers want a margin.
	GuardTime time.Duration

	// Results is a command body that settles V and X once the init steps are through,
	// such as V1X4. "": as the steps and the modem's stored settings leave them; both
	// dialects are understood.
	Results string
	// Codes are the maker's own numbers of V0 and the words they stand for, such as
	// "84": "CONNECT 33600": above 10 every make has its own. Nil: a number that nobody
	// knows is a connection if the carrier is up.
	Codes map[string]string

	// HangupBy is the order in which a hang-up is tried. Nil: DTR, then the escape. What
	// is left out is for a modem that takes it badly: some forget their settings when
	// DTR drops, some have no escape.
	HangupBy []HangupMethod
	// EscapeChar is what the escape sequence is made of, three times. 0: the plus sign
	// (S2=43).
	EscapeChar byte

	// Network is what a mobile or satellite modem is asked before it dials. The zero
	// value asks nothing.
	Network Network

	// IgnoreDCD is for modems and cables whose carrier signal says nothing (wired high, &C0):
	// carrier loss is then found by the modem's words, and a hang-up confirmed by OK to ATH.
	IgnoreDCD bool
}

// HangupMethod is one way to bring the line down.
type HangupMethod int

// The ways there are.
const (
	HangupDTR    HangupMethod = iota + 1 // DTR low: works whatever the modem is doing
	HangupEscape                         // guard time, +++, guard time, ATH
)

// Step is one init command and what must come of it.
type Step struct {
	Send     string        // without the line end
	Expect   string        // what a line of the answer must contain besides a final OK; "": nothing
	Timeout  time.Duration // 0: the profile's CommandTimeout
	Optional bool          // a refusal is noted and passed over; silence never is
}

// Generic is a profile for any modem that takes Hayes commands.
func Generic() Profile {
	return Profile{
		Name: "generic",
		Init: []Step{
			{Send: "ATZ"},                    // a known state; it may turn echo on again
			{Send: "ATE0V1Q0"},               // no echo, words for result codes, and all of them
			{Send: "ATX4", Optional: true},   // tell busy, no dial tone, DELAYED and BLACKLISTED apart
			{Send: "AT&C1"},                  // DCD follows the carrier: the proof of a hang-up
			{Send: "AT&D2"},                  // DTR going low hangs up
			{Send: "ATS0=0", Optional: true}, // never answer
		},
	}.withDefaults()
}

func (p Profile) withDefaults() Profile {
	if p.Name == "" {
		p.Name = "generic"
	}
	if p.DialPrefix == "" {
		p.DialPrefix = "ATDT"
	}
	if p.HangupBy == nil {
		p.HangupBy = []HangupMethod{HangupDTR, HangupEscape}
	}
	if p.EscapeChar == 0 {
		p.EscapeChar = '+'
	}
	p.Network = p.Network.withDefaults()
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&p.DialTimeout, 90 * time.Second},
		{&p.CommandTimeout, 3 * time.Second},
		{&p.AbortTimeout, 3 * time.Second},
		{&p.DTRTimeout, 2 * time.Second},
		{&p.DTRPulse, 500 * time.Millisecond},
		{&p.GuardTime, 1200 * time.Millisecond},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return p
}
