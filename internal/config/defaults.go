package config

import (
	"os"
	"path/filepath"

	"outpost/modem"
)

// preset is what a file is decoded over: the defaults of keys whose zero has a meaning.
func preset() Config {
	return Config{Bounce: Bounce{DelayCalls: 3, DelayHours: 24, GiveUpDays: 5, GiveUpCalls: 3}}
}

// withDefaults fills in what the file left out. Zero means left out: no other key has
// a meaningful zero except those whose default is zero. The reason of each default stands beside its
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
	if c.IMAP.Listen == nil && c.IMAP.ListenTLS == nil {
		c.IMAP.Listen = []string{"127.0.0.1:1143"}
	}
	or(&c.IMAP.MaxConnections, 200)
	or(&c.Storage.UsersFile, filepath.Join(c.Storage.Dir, "users"))
	for i := range c.Users {
		c.Users[i].withDefaults(c.Delivery)
	}
	for i := range c.Folders {
		if f := &c.Folders[i]; f.Read == nil {
			f.Read = []string{Everyone}
		}
	}
	for i := range c.Servers {
		c.Servers[i].withDefaults()
	}
	or(&c.Hold.NoteLines, 12)
	or(&c.Hold.Manager, c.Office.Postmaster)
	if s := c.Smarthost; s != nil {
		s.withDefaults(map[string]int{tlsImplicit: 465, tlsStart: 587, TLSNone: 25})
		or(&s.Hello, c.Office.Name)
	}
	for i := range c.Boxes {
		c.Boxes[i].withDefaults(c.Office.Domains)
	}
	for i := range c.Lines {
		c.Lines[i].withDefaults()
	}
	or(&c.Log.Level, "info")
	or(&c.Log.Format, "text")
}

func (u *User) withDefaults(d Delivery) {
	if u.External == nil {
		u.External = new(true)
	}
	if u.MayCall == nil {
		u.MayCall = new(true)
	}
	if u.Server == nil {
		server := d.Server
		u.Server = &server
	}
}

// withDefaults is for a server on the office network, which costs nothing: it needs
// no TLS by itself and may take its time.
func (s *OfficeServer) withDefaults() {
	or(&s.Kind, ServerLMTP)
	or(&s.TLS, TLSNone)
	port := map[string]int{ServerLMTP: 24, ServerSMTP: 25}[s.Kind]
	if s.Kind == ServerSMTP && s.TLS == tlsImplicit {
		port = 465
	}
	or(&s.Port, port)
	or(&s.Silence, 300)
}

func (b *Box) withDefaults(domains []string) {
	b.Server.withDefaults(map[string]int{tlsImplicit: 995, tlsStart: 110, TLSNone: 110})
	or(&b.Name, b.User)
	or(&b.Auth, AuthPassword)
	or(&b.MaxMessageBytes, 25<<20)
	if b.LeaveDays > 0 {
		or(&b.Leave, LeaveDays)
	}
	or(&b.Leave, LeaveNever)
	if c := b.CatchAll; c != nil {
		if c.Domains == nil {
			c.Domains = domains
		}
		if c.Headers == nil {
			c.Headers = envelopeHeaders()
		}
	}
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
