package main

// This file makes the lines that the configuration names, each of its kind.

import (
	"context"
	"slices"

	"go.bug.st/serial"

	"outpost/internal/config"
	"outpost/internal/link"
	"outpost/internal/ppp"
	"outpost/internal/session"
	"outpost/queue"
)

// line is a way up, of any kind.
type line interface {
	session.Line
	// Reset makes sure that the line is down, at the start and after a hang-up
	// that wasn't confirmed.
	Reset(ctx context.Context) error
}

// newLine makes a line; open opens its serial port, if it has one.
func (o *office) newLine(l config.Line, open func() (serial.Port, error)) line {
	dialled := link.ModemConfig{
		Name: l.Name, Number: l.Number, Open: open,
		Profile: profileOf(o.cfg.Modem(l)), Secrets: secretsOf(o.cfg.Modem(l)),
		PPP:  ppp.Config{User: l.User, Password: l.Password},
		Rate: l.RateBPS, RTT: l.RoundTrip(), Log: o.log,
	}
	switch l.Kind {
	case "net":
		return link.NewNetLine(link.NetConfig{
			Name: l.Name, UpCommand: l.UpCommand, DownCommand: l.DownCommand, CommandLimit: l.CommandLimit(),
			Interface: l.Interface, AddressLimit: l.AddressLimit(), DNS: l.NameServers(), Guard: l.Guard,
			Rate: l.RateBPS, RTT: l.RoundTrip(), Interrupted: func() (bool, error) { return o.interrupted(l.Name) }, Log: o.log,
		})
	case "pppd":
		return link.NewPPPDLine(link.PPPDConfig{
			Modem: dialled, Dir: o.cfg.Storage.Dir, Unit: l.Unit,
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
