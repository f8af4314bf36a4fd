//go:build linux

package main

import (
	"encoding/json"
	"os"
	"time"
)

// dirReport is one direction in the report.
type dirReport struct {
	Rate      float64 `json:"rate_bps"`
	Packets   int     `json:"packets"`
	IPBytes   int     `json:"ip_bytes"`
	WireBytes int     `json:"wire_bytes"`
	Dropped   int     `json:"dropped"`
	Lost      int     `json:"lost"`
	BusyS     float64 `json:"busy_s"`
	MaxQueueS float64 `json:"max_queue_s"`
	MeanLateS float64 `json:"mean_late_s"` // how late the simulator delivered
	MaxLateS  float64 `json:"max_late_s"`
}

// report is what crossed the line since the beginning, or since the last report.
type report struct {
	Preset    string    `json:"preset"`
	DelayS    float64   `json:"one_way_delay_s"`
	MTU       int       `json:"mtu"`
	FirstUnix float64   `json:"first_unix"` // 0: nothing crossed the line
	LastUnix  float64   `json:"last_unix"`
	LinkS     float64   `json:"link_s"`      // first packet offered to last packet delivered
	BothBusyS float64   `json:"both_busy_s"` // both transmitters at work at the same time
	IdleS     float64   `json:"idle_s"`      // neither at work
	Up        dirReport `json:"up"`
	Down      dirReport `json:"down"`
	Flows     []*flow   `json:"flows"`
}

func (d *direction) report() dirReport {
	r := dirReport{
		Rate: d.cfg.rate, Packets: d.packets, IPBytes: d.ipBytes, WireBytes: d.wire,
		Dropped: d.dropped, Lost: d.lost, MaxQueueS: d.maxQueue.Seconds(),
		MeanLateS: d.late.Seconds() / float64(max(d.packets, 1)), MaxLateS: d.maxLate.Seconds(),
	}
	for _, s := range d.busy {
		r.BusyS += s.to.Sub(s.from).Seconds()
	}
	return r
}

// report tells what was counted, and begins anew.
func (l *link) report() report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := report{Up: l.up.report(), Down: l.down.report(), DelayS: l.up.cfg.delay.Seconds(), Flows: l.count.sorted()}
	if first := l.count.first; !first.IsZero() {
		r.FirstUnix, r.LastUnix = unixSeconds(first), unixSeconds(l.last)
		r.LinkS = l.last.Sub(first).Seconds()
	}
	r.BothBusyS = overlap(l.up.busy, l.down.busy).Seconds()
	r.IdleS = r.LinkS - r.Up.BusyS - r.Down.BusyS + r.BothBusyS
	l.up.tally, l.down.tally, l.count = tally{}, tally{}, newCounters()
	return r
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// overlap is how long both lists of spans, each in order, have one at the same time.
func overlap(a, b []span) time.Duration {
	var both time.Duration
	for len(a) > 0 && len(b) > 0 {
		from, to := a[0].from, a[0].to
		if b[0].from.After(from) {
			from = b[0].from
		}
		if b[0].to.Before(to) {
			to = b[0].to
		}
		both += max(to.Sub(from), 0)
		if a[0].to.Before(b[0].to) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return both
}

// writeReport writes to a temporary name first: a script that waits for the file
// sees a whole report or none.
func writeReport(path string, r report) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if path == "" {
		_, err := os.Stdout.Write(b)
		return err
	}
	if err := os.WriteFile(path+".tmp", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
