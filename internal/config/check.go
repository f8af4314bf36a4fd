package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"outpost/internal/schedule"
	"outpost/modem"

	"github.com/shopspring/decimal"
	"golang.org/x/crypto/bcrypt"
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

// Bounds that keep a slip of the finger from overflowing or from being a day's
// surprise on the bill.
const (
	maxMinutes = 24 * 60
	maxSeconds = 24 * 60 * 60
	// maxSocket is how long the name of a Unix socket may be on every system.
	maxSocket = 103
)

func (c *Config) check(f *Faults) {
	c.checkOffice(f)
	c.checkSMTP(f)
	users := c.checkUsers(f)
	if p := c.Office.Postmaster; p != "" && !users[p] {
		f.add("office.postmaster", p, "no user has that name")
	}
	if c.Smarthost != nil {
		c.Smarthost.check("smarthost", f)
		c.Smarthost.checkPassword("smarthost", f)
		hostName(f, "smarthost.hello", c.Smarthost.Hello)
	}
	if len(c.Lines) == 0 && (c.Smarthost != nil || len(c.Boxes) > 0 || len(c.Schedule.Calls) > 0) {
		f.add("line", "", "there is a smarthost, a box or a schedule, but no [[line]] to reach them")
	}
	c.checkBoxes(users, f)
	c.checkLines(f)
	c.checkSchedule(f)
	oneOf(f, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(f, "log.format", c.Log.Format, "text", "json")
}

func (c *Config) checkOffice(f *Faults) {
	hostName(f, "office.name", c.Office.Name)
	if n := len(c.Storage.Socket); n > maxSocket {
		f.add("storage.socket", c.Storage.Socket, "has %d octets; systems take at most %d", n, maxSocket)
	}
	if len(c.Office.Domains) == 0 {
		f.add("office.domains", "", "name at least one domain of the office's addresses, such as [\"clinic.example\"]")
	}
	for _, d := range c.Office.Domains {
		if d == "" || strings.ContainsAny(d, " \t\r\n@/") {
			f.add("office.domains", quote(d), "must be a domain, such as clinic.example")
		}
	}
	if c.Storage.MinFreeBytes < 0 || c.Storage.MinFreeInodes < 0 {
		f.add("storage", "", "min_free_bytes and min_free_inodes must not be negative")
	}
}

func (c *Config) checkSMTP(f *Faults) {
	for key, list := range map[string][]string{"smtp.listen": c.SMTP.Listen, "smtp.listen_tls": c.SMTP.ListenTLS} {
		for _, a := range list {
			_, port, err := net.SplitHostPort(a)
			if n, convErr := strconv.Atoi(port); err != nil || convErr != nil || n < 0 || n > 65535 {
				f.add(key, quote(a), "must be address:port, such as 127.0.0.1:2525 or :587 for all interfaces")
			}
		}
	}
	for _, n := range c.SMTP.TrustedNetworks {
		if _, err := netip.ParsePrefix(n); err != nil {
			f.add("smtp.trusted_networks", quote(n), "must be a network, such as 192.168.1.0/24")
		}
	}
	if len(c.SMTP.Listen)+len(c.SMTP.ListenTLS) == 0 {
		f.add("smtp.listen", "", "name at least one address in listen or listen_tls, or nobody can hand in mail")
	}
	readable(f, "smtp.cert_file", c.SMTP.CertFile)
	readable(f, "smtp.key_file", c.SMTP.KeyFile)
	if (c.SMTP.CertFile == "") != (c.SMTP.KeyFile == "") {
		f.add("smtp.cert_file", "", "cert_file and key_file go together: give both or neither")
	}
	positive(f, "smtp.max_message_bytes", c.SMTP.MaxMessageBytes)
	positive(f, "smtp.max_recipients", int64(c.SMTP.MaxRecipients))
	positive(f, "smtp.max_connections", int64(c.SMTP.MaxConnections))
}

func (c *Config) checkUsers(f *Faults) map[string]bool {
	users := make(map[string]bool)
	owner := make(map[string]string)
	for i, u := range c.Users {
		where := fmt.Sprintf("user %d", i+1)
		if u.Name != "" {
			where = fmt.Sprintf("user %q", u.Name)
		}
		switch {
		case !safeName(u.Name):
			f.add(where+".name", quote(u.Name), "must be 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit: it names the user's mail folder")
		case users[u.Name]:
			f.add(where+".name", u.Name, "there is a user of that name already")
		}
		users[u.Name] = true
		for _, a := range u.Addresses {
			key := strings.ToLower(a)
			switch _, domain, ok := strings.Cut(a, "@"); {
			case !ok || domain == "" || strings.HasPrefix(a, "@"):
				f.add(where+".addresses", quote(a), "must be name@domain")
			case !c.ours(domain):
				f.add(where+".addresses", a, "its domain is not one of office.domains, so mail to it would never stay in the office")
			case owner[key] != "":
				f.add(where+".addresses", a, "belongs to user %q already", owner[key])
			}
			owner[key] = u.Name
		}
		if u.Password != "" {
			if _, err := bcrypt.Cost([]byte(u.Password)); err != nil {
				f.add(where+".password", "", "must be a bcrypt hash; make one with: outpost passwd")
			}
		}
	}
	return users
}

func (c *Config) ours(domain string) bool {
	for _, d := range c.Office.Domains {
		if strings.EqualFold(d, domain) {
			return true
		}
	}
	return false
}

// safeName keeps a user's name usable as a folder on every system.
func safeName(s string) bool {
	if s == "" || len(s) > 64 || strings.ContainsAny(s[:1], "._-") {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

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

func (b Box) where(i int) string {
	if b.Name == "" {
		return fmt.Sprintf("box %d", i+1)
	}
	return fmt.Sprintf("box %q", b.Name)
}

func (c *Config) checkBoxes(users map[string]bool, f *Faults) {
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
		if len(b.DeliverTo) == 0 {
			f.add(where+".deliver_to", "", "name the users who get this box's mail")
		}
		for _, u := range b.DeliverTo {
			if !users[u] {
				f.add(where+".deliver_to", u, "no user has that name")
			}
		}
		if b.Auth != AuthXOAUTH2 {
			b.checkPassword(where, f)
		}
		oneOf(f, where+".auth", b.Auth, AuthPassword, AuthPlain, AuthAPOP, AuthXOAUTH2)
		if b.Auth == AuthXOAUTH2 && len(b.TokenCommand) == 0 {
			f.add(where+".token_command", "", "auth = \"xoauth2\" needs a program that prints access tokens")
		}
		between(f, where+".leave_days", b.LeaveDays, 0, 36500)
		positive(f, where+".max_message_bytes", b.MaxMessageBytes)
	}
}

func (l Line) where(i int) string {
	if l.Name == "" {
		return fmt.Sprintf("line %d", i+1)
	}
	return fmt.Sprintf("line %q", l.Name)
}

func (c *Config) checkLines(f *Faults) {
	names := make(map[string]bool)
	for i, l := range c.Lines {
		where := l.where(i)
		oneOf(f, where+".kind", l.Kind, KindModem, KindPPPD, KindNet)
		l.checkKind(where, f)
		if names[l.Name] {
			f.add(where+".name", l.Name, "there is a line of that name already")
		}
		names[l.Name] = true
		if l.dials() {
			l.checkDialled(where, f)
		}
		if l.RateBPS < 0 || l.RoundTripMS < 0 {
			f.add(where+".rate_bps", "", "rate_bps and round_trip_ms must be 0 (not known) or more")
		}
		between(f, where+".boxes_at_once", l.Boxes, 0, 1000)
		between(f, where+".max_call_minutes", l.MaxCallMinutes, 1, maxMinutes)
		l.Tariff.check(where+".tariff", f)
	}
}

// checkDialled is for lines with a modem.
func (l Line) checkDialled(where string, f *Faults) {
	if err := modem.CheckPortName(l.Port); err != nil {
		f.add(where+".port", quote(l.Port), "%v", err)
	}
	oneOf(f, where+".flow_control", l.FlowControl, string(modem.RTSCTS), string(modem.XONXOFF), string(modem.NoFlow))
	positive(f, where+".baud", int64(l.Baud))
	l.checkDialogue(where, f)
}

func (t Tariff) check(where string, f *Faults) {
	for key, amount := range map[string]string{"set_up": t.SetUp, "per_minute": t.PerMinute} {
		if d, err := decimal.NewFromString(amount); err != nil || d.IsNegative() {
			f.add(where+"."+key, quote(amount), "must be an amount in quotes, such as \"1.10\"")
		}
	}
	between(f, where+".unit_seconds", t.UnitSeconds, 1, maxSeconds)
	between(f, where+".minimum_seconds", t.MinimumSeconds, 0, maxSeconds)
	between(f, where+".decimals", t.Decimals, 1, 6)
}

func (c *Config) checkSchedule(f *Faults) {
	if _, err := time.LoadLocation(c.Schedule.TimeZone); err != nil {
		f.add("schedule.time_zone", quote(c.Schedule.TimeZone), "must be a zone's name, such as Africa/Nairobi: %v", err)
	}
	for _, expr := range c.Schedule.Calls {
		if _, err := schedule.Parse([]string{expr}, nil); err != nil {
			f.add("schedule.calls", "", "%v", err)
		}
	}
}
