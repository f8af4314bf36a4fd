package modemtest

import (
	"maps"
	"slices"
	"time"
)

// Options is the kind of modem and line. The zero value is a healthy modem on a
// line without limits that connects at once.
type Options struct {
	Up, Down int           // bit/s from and to the DTE at 10 bits an octet; 0: no limit
	Delay    time.Duration // one way
	Buffer   int           // octets the modem holds each way before it pushes back; 0: 4096

	DialTime    time.Duration // from ATD to its result
	ConnectLine string        // what CONNECT looks like; "": "CONNECT" and the rate of Down
	// Answer is what a dial ends with. "": ConnectLine and a carrier. A text that begins
	// with CONNECT: that text and a carrier. "GARBAGE": noise, then silence. "SILENCE":
	// nothing until the host gives up. Anything else is said as it stands and there is
	// no call ("BUSY", "NO CARRIER", "NO DIALTONE", "DELAYED 00:05:00"). Lines before
	// the last, divided by "\n", are said first ("RINGING\nBUSY").
	Answer   string
	Answers  []string          // one for each of the next dials, then Answer
	ByNumber map[string]string // what a dial of that number ends with, before Answers and Answer
	After    []string          // lines said after CONNECT, in the wrong order, as some modems do

	CutAfter     int64         // octets through the line, both directions together, after which the carrier drops; 0: never
	CutAfterUp   int64         // the same for octets from the DTE
	CutAfterDown int64         // and for octets to the DTE
	FreezeAfter  int64         // octets, both directions together, after which the line freezes once; 0: never
	FreezeFor    time.Duration // for this long
	ErrorRate    float64       // share of octets that arrive with one bit wrong
	DoubleRate   float64       // share of octets that arrive twice
	LossRate     float64       // share of octets that do not arrive
	Jitter       time.Duration // octets are late by up to this; what is late holds up what follows, and then comes at once
	Burst        time.Duration // what has arrived is handed over at multiples of this, as in the frames of a satellite line (Iridium: 90 ms); 0: at once
	Seed         uint64        // of all chance; the same seed gives the same for the same octets

	Echo         bool              // echo is on when switched on and after ATZ
	PowerUp      string            // commands in force when switched on and after ATZ, as "V0X1&C0"
	LineEnd      string            // around result lines; "": CR LF
	Unsolicited  []string          // lines said before every result code
	Refuse       []string          // beginnings of commands answered with ERROR, as "&C" or "+CBST=71"
	RefuseLine   string            // a whole command line, without AT, answered with ERROR
	Accept       []string          // beginnings of commands answered with OK that are none of the modem's own, as "&B"
	Numeric      map[string]string // codes of V0 that the maker chose, as "CONNECT 33600": "84"
	EchoTwice    bool              // result lines come twice, as through a cable that echoes
	EchoBreak    int               // the first unsolicited line comes after so many octets of each echo; 0: not
	Chop         int               // a read gives at most 1 to so many octets of what the modem says; 0: all there is
	ChopGap      time.Duration     // and the next ones come so much later
	NoStatusBits bool              // the port has no DTR, DCD and CTS, as a pseudo-terminal
	HUPCL        bool              // the last close of a pseudo-terminal drops DTR, as a terminal's does
	IgnoreDTR    bool              // DTR does nothing whatever &D says
	IgnoreEscape bool              // +++ does nothing
	IgnoreAbort  bool              // an octet while dialling does not stop it
	IgnoreHangup bool              // ATH and ATZ say OK and the call goes on
	HoldCTS      bool              // flow control is stuck: the modem takes no octets

	SIM          SIM
	Registration []Registered // states in their order; nil: at home at once
	Compact      bool         // +CREG:000,001 and +CSQF:5, as Iridium writes it
	Signal       string       // what +CSQ says; "": "21,0"
	Operator     string       // what +COPS? says; "": no name
	APN          string       // *99# is answered in a context with this access point only; "": always
}

func (o Options) clone() Options {
	o.Answers = slices.Clone(o.Answers)
	o.Unsolicited = slices.Clone(o.Unsolicited)
	o.After = slices.Clone(o.After)
	o.Refuse = slices.Clone(o.Refuse)
	o.Accept = slices.Clone(o.Accept)
	o.Registration = slices.Clone(o.Registration)
	o.ByNumber, o.Numeric = maps.Clone(o.ByNumber), maps.Clone(o.Numeric)
	if o.Buffer <= 0 {
		o.Buffer = 4096
	}
	if o.LineEnd == "" {
		o.LineEnd = "\r\n"
	}
	if o.Signal == "" {
		o.Signal = "21,0"
	}
	return o
}
