package config

import (
	"strconv"
	"strings"
)

// TLSNone is a server's tls key where nothing is encrypted.
const TLSNone = "none"

// The other words of that key.
const (
	tlsImplicit = "implicit"
	tlsStart    = "starttls"
)

// The words of a box's auth key.
const (
	AuthPassword = "password"
	AuthPlain    = "plain"
	AuthAPOP     = "apop"
	AuthXOAUTH2  = "xoauth2"
)

func (s Server) check(where string, f *Faults) {
	if s.Host == "" || strings.ContainsAny(s.Host, " \t\r\n:/") {
		f.add(where+".host", s.Host, "must be the server's host name or IPv4 address; lines carry IPv4 only")
	}
	readable(f, where+".ca_file", s.CAFile)
	if s.Port < 1 || s.Port > 65535 {
		f.add(where+".port", strconv.Itoa(s.Port), "must be 1 to 65535")
	}
	oneOf(f, where+".tls", s.TLS, tlsImplicit, tlsStart, TLSNone)
	if s.TLS == TLSNone && s.Password != "" && !s.AllowPlain {
		f.add(where+".tls", s.TLS, "the password would cross the line readable by all; use implicit or starttls, or say allow_plain_password = true")
	}
	between(f, where+".silence_seconds", s.Silence, 10, maxSeconds)
}

func (s Server) checkPassword(where string, f *Faults) {
	if s.User != "" && s.Password == "" {
		f.add(where+".password", "", "a user needs password or password_file")
	}
}

func (c *Config) checkBoxes(all *book, f *Faults) {
	names, accounts := make(map[string]bool), make(map[string]string)
	for i, b := range c.Boxes {
		where := b.where(i)
		b.check(where, f)
		if b.User == "" {
			f.add(where+".user", "", "a box needs the account's user name")
		}
		if names[b.Name] {
			f.add(where+".name", b.Name, "there is a box of that name already")
		}
		names[b.Name] = true
		account := b.User + "@" + strings.ToLower(b.Host)
		if first, twice := accounts[account]; twice {
			f.add(where, "", "is the same account as box %q; give that one more users in deliver_to", first)
		}
		accounts[account] = b.Name
		if b.Auth != AuthXOAUTH2 {
			b.checkPassword(where, f)
		}
		oneOf(f, where+".auth", b.Auth, AuthPassword, AuthPlain, AuthAPOP, AuthXOAUTH2)
		if b.Auth == AuthXOAUTH2 && len(b.TokenCommand) == 0 {
			f.add(where+".token_command", "", "auth = \"xoauth2\" needs a program that prints access tokens")
		}
		positive(f, where+".max_message_bytes", b.MaxMessageBytes)
		b.checkStay(where, f)
		b.checkRoute(where, all, f)
	}
}

// checkStay is about what stays on the server.
func (b Box) checkStay(where string, f *Faults) {
	oneOf(f, where+".leave", b.Leave, LeaveNever, LeaveAlways, LeaveDays, LeaveRead)
	between(f, where+".leave_days", b.LeaveDays, 0, maxDays)
	switch {
	case b.Leave == LeaveDays && b.LeaveDays == 0:
		f.add(where+".leave_days", "", "leave = \"days\" needs their number")
	case b.Leave != LeaveDays && b.LeaveDays > 0:
		f.add(where+".leave_days", strconv.Itoa(b.LeaveDays), "has no meaning with leave = %q", b.Leave)
	}
	if b.HoldAboveBytes != nil {
		notNegative(f, where+".hold_above_bytes", *b.HoldAboveBytes)
	}
	if b.HoldExpireDays != nil {
		between(f, where+".hold_expire_days", *b.HoldExpireDays, 0, maxDays)
	}
}

// checkRoute is about who gets the box's mail.
func (b Box) checkRoute(where string, all *book, f *Faults) {
	all.places(f, where+".deliver_to", b.DeliverTo)
	catch := b.CatchAll
	switch {
	case catch == nil && len(b.DeliverTo) == 0:
		f.add(where+".deliver_to", "", "name who gets this box's mail, or say in [box.catch_all] how it is found out")
	case catch != nil && len(b.DeliverTo) > 0:
		f.add(where+".deliver_to", "", "has no meaning with [box.catch_all]; who gets what cannot be placed is its unknown")
	}
	if catch != nil {
		catch.check(where+".catch_all", all, f)
	}
}

func (c CatchAll) check(where string, all *book, f *Faults) {
	for _, d := range c.Domains {
		domain(f, where+".domains", d)
	}
	for _, h := range c.Headers {
		headerName(f, where+".headers", h)
	}
	if strings.ContainsAny(c.Prefix, "@ \t\r\n") {
		f.add(where+".prefix", quote(c.Prefix), "must be the beginning of a local part, such as clinic-")
	}
	for _, a := range c.Ignore {
		address(f, where+".ignore", a)
	}
	if c.Server != "" && all.kind[c.Server] != isServer {
		f.add(where+".server", c.Server, "no [[server]] has that name")
	}
	all.places(f, where+".unknown", c.Unknown)
}
