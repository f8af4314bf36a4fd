package config

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"outpost/internal/schedule"
)

// Bounds that keep a slip of the finger from overflowing or from being a day's
// surprise on the bill.
const (
	maxMinutes = 24 * 60
	maxSeconds = 24 * 60 * 60
	maxHours   = 365 * 24
	maxDays    = 36500
	// maxSocket is how long the name of a Unix socket may be on every system.
	maxSocket = 103
)

func (c *Config) check(f *Faults) {
	c.checkOffice(f)
	c.checkSMTP(f)
	c.checkIMAP(f)
	names := c.checkNames(f)
	c.checkPeople(names, f)
	c.checkServers(f)
	if c.Smarthost != nil {
		c.Smarthost.check("smarthost", f)
		c.Smarthost.checkPassword("smarthost", f)
		hostName(f, "smarthost.hello", c.Smarthost.Hello)
	}
	if len(c.Lines) == 0 && (c.Smarthost != nil || len(c.Boxes) > 0 || len(c.Schedule.Calls) > 0) {
		f.add("line", "", "there is a smarthost, a box or a schedule, but no [[line]] to reach them")
	}
	c.checkBoxes(names, f)
	c.checkHold(names, f)
	c.checkBounce(f)
	c.checkRules(names, f)
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
		domain(f, "office.domains", d)
	}
	if c.Storage.MinFreeBytes < 0 || c.Storage.MinFreeInodes < 0 {
		f.add("storage", "", "min_free_bytes and min_free_inodes must not be negative")
	}
}

func (c *Config) checkSMTP(f *Faults) {
	addresses(f, "smtp.listen", c.SMTP.Listen)
	addresses(f, "smtp.listen_tls", c.SMTP.ListenTLS)
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

func (c *Config) checkIMAP(f *Faults) {
	addresses(f, "imap.listen", c.IMAP.Listen)
	addresses(f, "imap.listen_tls", c.IMAP.ListenTLS)
	taken := slices.Concat(c.SMTP.Listen, c.SMTP.ListenTLS)
	for _, a := range slices.Concat(c.IMAP.Listen, c.IMAP.ListenTLS) {
		if slices.Contains(taken, a) && !strings.HasSuffix(a, ":0") {
			f.add("imap.listen", quote(a), "is an address of [smtp] already; IMAP needs a port of its own")
		}
	}
	positive(f, "imap.max_connections", int64(c.IMAP.MaxConnections))
}

func addresses(f *Faults, where string, list []string) {
	for _, a := range list {
		_, port, err := net.SplitHostPort(a)
		if n, convErr := strconv.Atoi(port); err != nil || convErr != nil || n < 0 || n > 65535 {
			f.add(where, quote(a), "must be address:port, such as 127.0.0.1:2525 or :587 for all interfaces")
		}
	}
}

func (c *Config) ours(domain string) bool {
	for _, d := range c.Office.Domains {
		if strings.EqualFold(d, domain) {
			return true
		}
	}
	return false
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
