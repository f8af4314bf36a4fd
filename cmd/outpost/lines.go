package main

// This file makes the lines that the configuration names, each of its kind.

import (
	"context"
	"log/slog"
	"slices"

	"go.bug.st/serial"

	"outpost/internal/config"
	"outpost/internal/link"
	"outpost/internal/session"
	"outpost/modem"
	"outpost/queue"
)

// line is a way up, of any kind.
type line interface {
	session.Line
	// Reset makes sure that the line is down, at the start and after a hang-up
	// that wasn't confirmed.
	Reset(ctx context.Context) error
	// Proof is what showed that it is down, after a Reset or Down that succeeded.
	Proof() string
}

// workshop is what lines are made with.
type workshop struct {
	cfg  *config.Config
	open func(modem.PortOptions) (serial.Port, error)
	// interrupted says whether the last call on a line has no confirmed end.
	interrupted func(name string) (bool, error)
	memory      link.Memory // nil: nothing is kept
	log         *slog.Logger
}

// line makes a configured line.
func (w workshop) line(l config.Line) line {
	if l.Kind == config.KindNet {
		return link.NewNetLine(link.NetConfig{
			Name: l.Name, UpCommand: l.UpCommand, DownCommand: l.DownCommand, CommandLimit: l.CommandLimit(),
			Interface: l.Interface, AddressLimit: l.AddressLimit(), DNS: l.NameServers(), Guard: l.Guard,
			Rate: l.RateBPS, RTT: l.RoundTrip(), Memory: w.memory, Interrupted: func() (bool, error) { return w.interrupted(l.Name) }, Log: w.log,
		})
	}
	dialled := modemConfig(w.cfg, l, w.open, w.log)
	dialled.Memory = w.memory
	if l.Kind == config.KindPPPD {
		return link.NewPPPDLine(link.PPPDConfig{
			Modem: dialled, Dir: w.cfg.Storage.Dir, Unit: l.Unit,
			DefaultRoute: l.DefaultRoute, Guard: l.Guard, Options: l.PPPDOptions,
		})
	}
	return link.NewModemLine(dialled)
}

// interrupted says whether the last call on a line has no confirmed end.
func (o *office) interrupted(name string) (bool, error) {
	open, err := o.queue.Unfinished()
	return slices.ContainsFunc(open, func(c queue.Call) bool { return c.Line == name }), err
}
