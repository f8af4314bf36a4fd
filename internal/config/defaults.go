package config

import (
	"os"
	"path/filepath"

	"outpost/modem"
)

// withDefaults fills in what the file left out. Zero means left out: no key has
// a meaningful zero except leave_days, boxes_at_once, rate_bps, round_trip_ms and the tariff's
// amounts, whose default is zero. The reason of each default stands beside its
// key in configs/outpost.toml.
func (c *Config) withDefaults() {
	or(&c.Office.Name, hostname())
	or(&c.Storage.Dir, "/var/lib/outpost")
	or(&c.Storage.MinFreeBytes, 64<<20)
	or(&c.Storage.MinFreeInodes, 1000)
	or(&c.Storage.Socket, filepath.Join(c.Storage.Dir, "outpost.sock"))
	if c.SMTP.Listen == nil && c.SMTP.ListenTLS == nil {
		c.SMTP.Listen = []string{"127.0.0.1:2525"}
	}
	if c.SMTP.TrustedNetworks == nil {
		c.SMTP.TrustedNetworks = []string{"127.0.0.0/8", "::1/128"}
	}
	or(&c.SMTP.MaxMessageBytes, 25<<20)
	or(&c.SMTP.MaxRecipients, 100)
	or(&c.SMTP.MaxConnections, 100)
	if s := c.Smarthost; s != nil {
		s.withDefaults(map[string]int{tlsImplicit: 465, tlsStart: 587, TLSNone: 25})
		or(&s.Hello, c.Office.Name)
	}
	for i := range c.Boxes {
		b := &c.Boxes[i]
		b.withDefaults(map[string]int{tlsImplicit: 995, tlsStart: 110, TLSNone: 110})
		or(&b.Name, b.User)
		or(&b.Auth, AuthPassword)
		or(&b.MaxMessageBytes, 25<<20)
	}
	for i := range c.Lines {
		c.Lines[i].withDefaults()
	}
	or(&c.Log.Level, "info")
	or(&c.Log.Format, "text")
}

func (s *Server) withDefaults(ports map[string]int) {
	or(&s.TLS, tlsImplicit)
	or(&s.Port, ports[s.TLS])
	or(&s.Silence, 90)
}

func (l *Line) withDefaults() {
	or(&l.Kind, KindModem)
	or(&l.Name, l.Kind)
	if l.dials() {
		or(&l.Baud, modem.DefaultBaud)
		or(&l.FlowControl, string(modem.RTSCTS))
		or(&l.Modem, "generic")
		or(&l.PDPType, "IP")
		or(&l.CID, 1)
		if l.Roaming == nil {
			l.Roaming = new(true)
		}
	}
	switch l.Kind {
	case KindPPPD:
		or(&l.Unit, 87)
	case KindNet:
		or(&l.CommandSeconds, 60)
		or(&l.AddressSeconds, 60)
	}
	or(&l.MaxCallMinutes, 60)
	or(&l.Tariff.UnitSeconds, 1)
	or(&l.Tariff.SetUp, "0")
	or(&l.Tariff.PerMinute, "0")
	or(&l.Tariff.Decimals, 2)
}

// or sets v to def when v is the zero value.
func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}
