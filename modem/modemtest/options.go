package modemtest

import (
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
	Answer  string
	Answers []string // one for each of the next dials, then Answer

	CutAfter     int64         // octets through the line, both directions together, after which the carrier drops; 0: never
	CutAfterUp   int64         // the same for octets from the DTE
	CutAfterDown int64         // and for octets to the DTE
	FreezeAfter  int64         // octets, both directions together, after which the line freezes once; 0: never
	FreezeFor    time.Duration // for this long
	ErrorRate    float64       // share of octets that arrive with one bit wrong
	Seed         uint64        // of the errors; the same seed gives the same errors

	Echo         bool     // echo is on when switched on and after ATZ
	PowerUp      string   // commands in force when switched on and after ATZ, as "V0X1&C0"
	LineEnd      string   // around result lines; "": CR LF
	Unsolicited  []string // lines said before every result code
	Refuse       []string // beginnings of commands answered with ERROR, as "&C" or "+CBST"
	NoStatusBits bool     // the port has no DTR, DCD and CTS, as a pseudo-terminal
	HUPCL        bool     // the last close of a pseudo-terminal drops DTR, as a terminal's does
	IgnoreDTR    bool     // DTR does nothing whatever &D says
	IgnoreEscape bool     // +++ does nothing
	IgnoreAbort  bool     // an octet while dialling does not stop it
	IgnoreHangup bool     // ATH and ATZ say OK and the call goes on
	HoldCTS      bool     // flow control is stuck: the modem takes no octets
}

func (o Options) clone() Options {
	o.Answers = slices.Clone(o.Answers)
	o.Unsolicited = slices.Clone(o.Unsolicited)
	o.Refuse = slices.Clone(o.Refuse)
	if o.Buffer <= 0 {
		o.Buffer = 4096
	}
	if o.LineEnd == "" {
		o.LineEnd = "\r\n"
	}
	return o
}
