package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"go.bug.st/serial"

	"outpost/internal/control"
	"outpost/internal/session"
	"outpost/modem"
)

// seize puts every modem on-hook from this process. Where that doesn't succeed and
// there is a daemon, the daemon is ended first: it may have the port to itself, or
// answer for the modem. That a line is down is worth more than that the daemon runs;
// mail is safe with it gone as with it pulled out of the wall.
func (h *hangup) seize(ctx context.Context) []control.LineDown {
	lines := h.resetAll(ctx, nil, openBeside)
	pid, err := daemonPID(h.cfg.Storage.Socket)
	if err != nil {
		h.say("whether there is a daemon is not known: %v", err)
	}
	if pid != 0 && !allDown(lines) {
		for _, l := range lines {
			if !l.Down {
				h.say("line %s: %s", l.Line, l.Error)
			}
		}
		if err := endDaemon(ctx, h.cfg.Storage.Socket, pid, h.say); err != nil {
			h.say("%v", err)
		}
		lines = h.resetAll(ctx, lines, openFreed)
		pid, _ = daemonPID(h.cfg.Storage.Socket)
	}
	switch {
	case pid != 0:
		h.say("the daemon (process %d) is still there and may dial again: kill -9 %d ends it", pid, pid)
	case allDown(lines):
		h.closeRows(ctx)
	}
	return lines
}

// freedLimit is how long the port of a process that has just ended may still be
// taken: its driver may be waiting for the modem to take what was written.
const freedLimit = 5 * time.Second

// openFreed opens a port that was just let go of.
func openFreed(opt modem.PortOptions) (serial.Port, error) {
	for end := time.Now().Add(freedLimit); ; time.Sleep(100 * time.Millisecond) {
		port, err := modem.OpenPort(opt)
		var fault *modem.OpenError
		if !errors.As(err, &fault) || fault.User == nil || time.Now().After(end) {
			return port, err
		}
	}
}

// openBeside opens a port whatever lock there is: the daemon that doesn't answer has
// one. Root gets in beside it; for others the port is exclusive.
func openBeside(opt modem.PortOptions) (serial.Port, error) {
	opt.LockDirs = []string{}
	return modem.OpenPort(opt)
}

// resetAll puts the modems on-hook of which that isn't known already.
func (h *hangup) resetAll(ctx context.Context, before []control.LineDown,
	open func(modem.PortOptions) (serial.Port, error)) []control.LineDown {
	// A network that we may have brought up is taken down, whatever the ledger says.
	makes := workshop{cfg: h.cfg, open: open, log: slog.New(slog.DiscardHandler),
		interrupted: func(string) (bool, error) { return true, nil }}
	var lines []control.LineDown
	for _, cfg := range h.cfg.Lines {
		if n := len(lines); n < len(before) && before[n].Down {
			lines = append(lines, before[n])
			continue
		}
		l := makes.line(cfg)
		down := lineDown(l, l.Reset(ctx))
		lines = append(lines, down)
		if said := l.Transcript(); !down.Down && said != "" {
			h.say("the dialogue with the modem of line %s:\n%s", cfg.Name, said)
		}
	}
	return lines
}

// closeRows ends the calls in the ledger that nobody else will end: the next start
// of the daemon would, with every hour until then as time on the line.
func (h *hangup) closeRows(ctx context.Context) {
	q, err := openLedger(h.cfg)
	if errors.Is(err, fs.ErrNotExist) {
		return // no daemon has run here
	}
	if err == nil {
		err = session.CloseInterrupted(ctx, q, tariffsOf(h.cfg))
		_ = q.Close()
	}
	if err != nil {
		h.say("the call's row in the ledger could not be closed; the next start of the daemon does it: %v", err)
	}
}
