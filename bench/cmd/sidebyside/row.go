package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// tally is what came of the messages that should have come.
type tally struct {
	Expected int `json:"expected"`
	Intact   int `json:"intact"`
	Missing  int `json:"missing"`
	Twice    int `json:"twice"`
	Foreign  int `json:"foreign"`
}

// result is one run. Times are in seconds, unless the name says otherwise.
type result struct {
	Client  string  `json:"client"`
	Preset  string  `json:"preset"`
	Profile string  `json:"profile"`
	Mode    string  `json:"mode"`  // plain, tls
	Calls   int     `json:"calls"` // which call was measured
	OK      bool    `json:"ok"`    // all mail arrived intact, once
	Status  int     `json:"status"`
	LinkS   float64 `json:"link_s"`  // first packet offered to last packet delivered
	BoundS  float64 `json:"bound_s"` // what the mail alone takes, and one round trip
	Ratio   float64 `json:"ratio"`   // of these two
	StartS  float64 `json:"start_s"` // from the client's start to the first packet
	ExitS   float64 `json:"exit_s"`  // first packet to the client's end
	IdleS   float64 `json:"idle_s"`  // nothing was being sent
	BothS   float64 `json:"both_busy_s"`
	UpS     float64 `json:"up_busy_s"`
	DownS   float64 `json:"down_busy_s"`
	UpB     int     `json:"up_bytes"` // on the wire
	DownB   int     `json:"down_bytes"`
	UpPkts  int     `json:"up_packets"`
	DownPk  int     `json:"down_packets"`
	Dropped int     `json:"dropped"`
	LateMS  float64 `json:"late_ms"` // how late the simulator delivered, on average
	MaxLate float64 `json:"max_late_ms"`
	TCP     int     `json:"tcp"` // connections
	UDP     int     `json:"udp"` // lookups
	Out     tally   `json:"out"`
	In      tally   `json:"in"`
	Left    int     `json:"left"` // messages in the boxes
	OutB    int     `json:"out_bytes"`
	InB     int     `json:"in_bytes"`
}

// direction is one of linksim's report.
type direction struct {
	Rate    float64 `json:"rate_bps"`
	Packets int     `json:"packets"`
	Wire    int     `json:"wire_bytes"`
	Dropped int     `json:"dropped"`
	Busy    float64 `json:"busy_s"`
	Late    float64 `json:"mean_late_s"`
	MaxLate float64 `json:"max_late_s"`
}

// files are what the other programs left in the folder of a run.
type files struct {
	link struct {
		Preset   string    `json:"preset"`
		Delay    float64   `json:"one_way_delay_s"`
		First    float64   `json:"first_unix"`
		Link     float64   `json:"link_s"`
		BothBusy float64   `json:"both_busy_s"`
		Idle     float64   `json:"idle_s"`
		Up       direction `json:"up"`
		Down     direction `json:"down"`
		Flows    []struct {
			Proto string `json:"proto"`
		} `json:"flows"`
	}
	verdict struct {
		OK   bool  `json:"ok"`
		Out  tally `json:"out"`
		In   tally `json:"in"`
		Left int   `json:"left_on_server"`
	}
	mail struct {
		Profile  string `json:"profile"`
		OutBytes int    `json:"out_bytes"`
		InBytes  int    `json:"in_bytes"`
	}
}

func (f *files) read(dir string) error {
	for name, to := range map[string]any{"link.json": &f.link, "verify.json": &f.verdict, "main/manifest.json": &f.mail} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = json.Unmarshal(b, to)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// row prints one run.
func row(args []string) error {
	fs := flag.NewFlagSet("row", flag.ExitOnError)
	name := fs.String("name", "", "client")
	mode := fs.String("mode", "plain", "plain or tls")
	calls := fs.Int("calls", 1, "which call was measured")
	begin := fs.Float64("begin", 0, "when the client started (Unix time)")
	end := fs.Float64("end", 0, "when it ended")
	status := fs.Int("status", 0, "its exit status")
	fs.Parse(args)
	var f files
	if err := f.read(fs.Arg(0)); err != nil {
		return err
	}
	r := f.result(*begin, *end)
	r.Client, r.Mode, r.Calls, r.Status = *name, *mode, *calls, *status
	return json.NewEncoder(os.Stdout).Encode(r)
}

// result reckons what the files say, for a client that ran from begin to end.
func (f *files) result(begin, end float64) result {
	l, v := f.link, f.verdict
	if l.First == 0 { // nothing crossed the line
		l.First = begin
	}
	bound := 2*l.Delay + max(float64(f.mail.OutBytes)*8/l.Up.Rate, float64(f.mail.InBytes)*8/l.Down.Rate)
	r := result{
		Preset: l.Preset, Profile: f.mail.Profile, OK: v.OK, Out: v.Out, In: v.In, Left: v.Left,
		LinkS: cents(l.Link), BoundS: cents(bound), StartS: cents(l.First - begin), ExitS: cents(end - l.First),
		IdleS: cents(l.Idle), BothS: cents(l.BothBusy), UpS: cents(l.Up.Busy), DownS: cents(l.Down.Busy),
		UpB: l.Up.Wire, DownB: l.Down.Wire, UpPkts: l.Up.Packets, DownPk: l.Down.Packets, Dropped: l.Up.Dropped + l.Down.Dropped,
		LateMS: cents(1000 * max(l.Up.Late, l.Down.Late)), MaxLate: cents(1000 * max(l.Up.MaxLate, l.Down.MaxLate)),
		OutB: f.mail.OutBytes, InB: f.mail.InBytes,
	}
	if bound > 0 {
		r.Ratio = cents(l.Link / bound)
	}
	for _, flow := range l.Flows {
		if flow.Proto == "tcp" {
			r.TCP++
		} else {
			r.UDP++
		}
	}
	return r
}

// cents keeps two places after the point.
func cents(x float64) float64 { return math.Round(x*100) / 100 }
