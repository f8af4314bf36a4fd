package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"outpost/internal/session"
)

// progress shows the events of a call: a line each, and on a terminal a last
// line that moves with the meter.
type progress struct {
	w        io.Writer
	terminal bool
	moving   bool // the last line is one to be written over
	last     session.Event
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) event(e session.Event) {
	if e.Kind == session.Progress {
		p.meter(e)
		return
	}
	if p.moving {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.moving = false
	}
	fmt.Fprintf(p.w, "  %s  %-10s %s\n", e.At.Local().Format(time.TimeOnly), e.Kind, describe(e))
	p.last = e
}

// meter moves the last line. Where it can't move, nothing is shown: a line a
// second would hide the rest.
func (p *progress) meter(e session.Event) {
	if !p.terminal {
		return
	}
	seconds := max(e.At.Sub(p.last.At).Seconds(), 0.001)
	fmt.Fprintf(p.w, "\r\x1b[K  %s  line up %s, %s up, %s down (%s/s, %s/s), %s", e.At.Local().Format(time.TimeOnly),
		e.Metered.Round(time.Second), size(e.Up), size(e.Down),
		size(int64(float64(e.Up-p.last.Up)/seconds)), size(int64(float64(e.Down-p.last.Down)/seconds)), e.Cost)
	p.moving, p.last = true, e
}

// describe puts what an event holds into words.
func describe(e session.Event) string {
	switch e.Kind {
	case session.PhaseBegan:
		return e.Phase
	case session.Sent:
		return fmt.Sprintf("to %s, %s", e.To, size(e.Bytes))
	case session.Deferred, session.Failed:
		return fmt.Sprintf("to %s: %s", e.To, e.Text)
	case session.Collected:
		return fmt.Sprintf("from box %s, %s", e.Box, size(e.Bytes))
	case session.Discarded:
		return fmt.Sprintf("from box %s, %s, by %s", e.Box, size(e.Bytes), e.Text)
	case session.HeldBack:
		return fmt.Sprintf("%s in box %s; outpost held release %s lets it come", size(e.Bytes), e.Box, e.Text)
	case session.BoxDone:
		return e.Box + ": " + e.Text
	case session.Problem, session.Alarm, session.Ended, session.Progress:
	}
	return e.Text
}

// size shows octets for a person.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
