package main

import (
	"strings"
	"time"

	"outpost/internal/link"
	"outpost/queue"
)

// dialResult is what a test found out, for people and programs.
type dialResult struct {
	Line        string     `json:"line"`
	Number      string     `json:"number"`
	OK          bool       `json:"ok"`
	Steps       []dialStep `json:"steps"`
	Connect     string     `json:"connect,omitempty"` // the modem's line, verbatim
	Local       string     `json:"local,omitempty"`   // addresses
	Peer        string     `json:"peer,omitempty"`
	NameServers []string   `json:"name_servers,omitempty"`
	MTU         int        `json:"mtu,omitempty"` // octets
	Ping        *dialPing  `json:"ping,omitempty"`
	LineUp      float64    `json:"line_up_seconds"`
	Up          int64      `json:"octets_up"`
	Down        int64      `json:"octets_down"`
	OnHook      bool       `json:"on_hook"`
	Cost        string     `json:"cost"`                  // of this call
	CostMinute  string     `json:"cost_of_a_minute_call"` // of a call of a minute
	Call        uint64     `json:"call,omitempty"`        // its number in the ledger; 0: it isn't there
	Error       string     `json:"error,omitempty"`
	Hint        string     `json:"hint,omitempty"`
	Transcript  string     `json:"transcript"`
}

type dialStep struct {
	At   float64 `json:"at_seconds"` // since the start
	What string  `json:"what"`
}

type dialPing struct {
	From string  `json:"from"`
	How  string  `json:"how"` // echo, question
	RTT  float64 `json:"seconds"`
}

// inSeconds leaves out what no clock of ours knows.
func inSeconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e6 }

// tell completes the result and prints it; mu is held.
func (t *dialTest) tell(row queue.Call, err error, line *link.ModemLine) {
	price, got := tariffOf(t.line.Tariff, t.cfg.Schedule.Location()), line.Addresses()
	r := &t.result
	r.Line, r.Number, r.OK, r.OnHook = t.line.Name, t.line.Number, err == nil, row.OnHook
	r.Connect, r.Transcript, r.MTU = line.ConnectLine(), line.Transcript(), got.MTU
	r.LineUp, r.Up, r.Down = inSeconds(row.Metered), row.Up, row.Down
	r.Cost, r.CostMinute = money(row.Cost, row.Currency), price.Format(price.At(time.Now()).Charge(time.Minute).Amount)
	if err != nil {
		r.Error = err.Error()
	}
	if got.Local.IsValid() {
		r.Local = got.Local.String()
		t.say("address %s, MTU %d octets", r.Local, r.MTU)
	}
	if got.Peer.IsValid() {
		r.Peer = got.Peer.String()
		t.say("far end %s", r.Peer)
	}
	for _, a := range got.DNS {
		r.NameServers = append(r.NameServers, a.String())
	}
	if len(r.NameServers) > 0 {
		t.say("name servers %s", strings.Join(r.NameServers, ", "))
	}
	t.say("line up %.1f s, %d octets up, %d down", r.LineUp, r.Up, r.Down)
	t.say("this call: %s; a call of a minute: %s", r.Cost, r.CostMinute)
	if t.recorded {
		r.Call = row.ID
		t.say("the ledger has it as call %d", row.ID)
	}
}
