package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// The words of a line's kind key: a modem with PPP here or in pppd, or a network that
// is there.
const (
	KindModem = "modem"
	KindPPPD  = "pppd"
	KindNet   = "net"
)

// maxInterface is how long the name of an interface may be on Linux.
const maxInterface = 15

// dials says that the line has a modem.
func (l Line) dials() bool { return l.Kind == KindModem || l.Kind == KindPPPD }

// CommandLimit is how long up_command and down_command may each take.
func (l Line) CommandLimit() time.Duration { return time.Duration(l.CommandSeconds) * time.Second }

// AddressLimit is how long an interface may take to get its address.
func (l Line) AddressLimit() time.Duration { return time.Duration(l.AddressSeconds) * time.Second }

// NameServers are those of dns; a validated configuration has only addresses.
func (l Line) NameServers() []netip.Addr {
	servers := make([]netip.Addr, 0, len(l.DNS))
	for _, s := range l.DNS {
		if a, err := netip.ParseAddr(s); err == nil {
			servers = append(servers, a)
		}
	}
	return servers
}

// checkKind checks the keys that only some kinds have.
func (l Line) checkKind(where string, f *Faults) {
	switch l.Kind {
	case KindModem, KindPPPD, KindNet:
	default:
		return // told already
	}
	for key := range reflect.TypeFor[Line]().Fields() {
		kinds := strings.Fields(key.Tag.Get("kind"))
		if len(kinds) > 0 && !slices.Contains(kinds, l.Kind) && !reflect.ValueOf(l).FieldByIndex(key.Index).IsZero() {
			f.add(where+"."+key.Tag.Get("toml"), "", "has no meaning on a line of kind %s, only on %s", l.Kind, strings.Join(kinds, " and "))
		}
	}
	switch l.Kind {
	case KindPPPD:
		l.checkPPPD(where, f)
	case KindNet:
		l.checkNet(where, f)
	}
}

func (l Line) checkPPPD(where string, f *Faults) {
	between(f, where+".unit", l.Unit, 1, 9999)
	for _, o := range l.PPPDOptions {
		if o == "" || strings.ContainsAny(o, "\r\n") {
			f.add(where+".pppd_options", quote(o), "must be one word of pppd(8) each, such as \"call\", \"provider\"")
		}
	}
}

func (l Line) checkNet(where string, f *Faults) {
	if len(l.UpCommand) > 0 && len(l.DownCommand) == 0 {
		f.add(where+".down_command", "", "a line that up_command brings up needs the command that takes it down")
	}
	for key, argv := range map[string][]string{"up_command": l.UpCommand, "down_command": l.DownCommand} {
		if len(argv) > 0 && argv[0] == "" {
			f.add(where+"."+key, "", "must be a program and its arguments, such as [\"/usr/bin/nmcli\", \"connection\", \"up\", \"vsat\"]")
		}
	}
	if len(l.Interface) > maxInterface || strings.ContainsAny(l.Interface, " \t\r\n/\"") {
		f.add(where+".interface", quote(l.Interface), "must be the name of a network interface, such as eth1")
	}
	if l.Guard && l.Interface == "" {
		f.add(where+".guard", "", "needs an interface to guard")
	}
	for _, s := range l.DNS {
		if _, err := netip.ParseAddr(s); err != nil {
			f.add(where+".dns", quote(s), "must be the address of a name server, such as 9.9.9.9")
		}
	}
	between(f, where+".command_seconds", l.CommandSeconds, 1, maxSeconds)
	between(f, where+".address_seconds", l.AddressSeconds, 1, maxSeconds)
}
