package main

// This file turns the configuration into the options of each package.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"go.bug.st/serial"

	"outpost/internal/config"
	"outpost/internal/link"
	"outpost/internal/pop3"
	"outpost/internal/ppp"
	"outpost/internal/relay"
	"outpost/internal/session"
	"outpost/internal/smtpd"
	"outpost/internal/tariff"
	"outpost/internal/users"
	"outpost/modem"
	"outpost/queue"
)

// serverTLS is what the office's doors show of themselves. Who sets a mail program up
// compares the fingerprint, so each start says it.
func (o *office) serverTLS() (*tls.Config, error) {
	cert, err := certificate(o.cfg)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	o.log.Info("certificate", "sha256", fingerprint(cert))
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

func (o *office) newDoor() (*smtpd.Server, error) {
	var trusted []netip.Prefix
	for _, n := range o.cfg.SMTP.TrustedNetworks {
		prefix, err := netip.ParsePrefix(n)
		if err != nil {
			return nil, err
		}
		trusted = append(trusted, prefix)
	}
	return smtpd.New(smtpd.Options{
		Hostname: o.cfg.Office.Name, MaxBytes: o.cfg.SMTP.MaxMessageBytes, MaxRecipients: o.cfg.SMTP.MaxRecipients,
		MaxConnections: o.cfg.SMTP.MaxConnections, Trusted: trusted,
		TLS:          o.tls,
		Authenticate: o.signIn,
		Resolve: func(_ context.Context, sender smtpd.Sender, rcpt string) ([]queue.Recipient, error) {
			return o.mailroom.Resolve(sender.User, sender.From, rcpt)
		},
		Submit: o.mailroom.Submit, Log: o.log,
	}), nil
}

// newGuard makes what says who may sign in, at any door.
func newGuard(cfg *config.Config, log *slog.Logger) *users.Guard {
	hashes := make(map[string]string)
	for _, u := range cfg.Users {
		hashes[u.Name] = u.Password
	}
	return users.NewGuard(users.Open(cfg.Storage.UsersFile), hashes, log)
}

// signIn says who it is at a door. Mail programs like to give the whole address, and telephones
// a capital letter.
func (o *office) signIn(login, password string) (user string, ok bool) {
	user = strings.ToLower(strings.TrimSpace(login))
	if strings.Contains(user, "@") {
		u, _ := o.book.table().Sender("", user)
		user = u.Name // "" is nobody, and takes as long to refuse
	}
	return user, o.guard.Admit(user, password)
}

// routes makes the configured lines.
func (o *office) routes(open func(modem.PortOptions) (serial.Port, error)) []session.Route {
	routes := make([]session.Route, 0, len(o.cfg.Lines))
	makes := workshop{cfg: o.cfg, open: open, interrupted: o.interrupted, memory: o.queue, log: o.log}
	for _, l := range o.cfg.Lines {
		line := makes.line(l)
		o.lines = append(o.lines, line)
		routes = append(routes, session.Route{Line: line, Tariff: tariffOf(l.Tariff, o.cfg.Schedule.Location()), MaxCall: l.MaxCall(), BoxesAtOnce: l.Boxes, Rate: l.RateBPS, RTT: l.RoundTrip()})
	}
	return routes
}

// modemConfig is what makes a line that is dialled.
func modemConfig(cfg *config.Config, l config.Line, open func(modem.PortOptions) (serial.Port, error), log *slog.Logger) link.ModemConfig {
	profile, numbers := profileOf(cfg.Modem(l)), l.Dialled()
	mobile(cfg, l, &profile)
	return link.ModemConfig{
		Name: l.Name, Number: numbers[0], Others: numbers[1:], Login: loginOf(l),
		Open:    func() (serial.Port, error) { return open(portOptions(l, log)) },
		Profile: profile, Secrets: secretsOf(cfg.Modem(l), l),
		PPP:  ppp.Config{User: l.User, Password: l.Password, ACCM: accm(l), Compress: plain(cfg)},
		Rate: l.RateBPS, RTT: l.RoundTrip(), Log: log,
	}
}

// portOptions are a line's port and what is told of it.
func portOptions(l config.Line, log *slog.Logger) modem.PortOptions {
	return modem.PortOptions{Name: l.Port, Baud: l.Baud, Flow: modem.Flow(l.FlowControl), Note: func(text string) {
		log.Warn("serial port", "line", l.Name, "port", l.Port, "note", text)
	}}
}

// plain says that all mail crosses the line in the clear, where compression helps.
func plain(cfg *config.Config) bool {
	for _, b := range cfg.Boxes {
		if b.TLS != config.TLSNone {
			return false
		}
	}
	return cfg.Smarthost == nil || cfg.Smarthost.TLS == config.TLSNone
}

// accm is what must not come over a line as data because its flow control takes it.
func accm(l config.Line) uint32 {
	if modem.Flow(l.FlowControl) == modem.XONXOFF {
		return modem.XONXOFFMap
	}
	return 0
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// tariffOf reads amounts and hours that the configuration has checked already. zone is
// where the clock of the hours hangs.
func tariffOf(t config.Tariff, zone *time.Location) tariff.Tariff {
	amount := func(s string) decimal.Decimal {
		d, err := decimal.NewFromString(s)
		if err != nil {
			return decimal.Zero
		}
		return d
	}
	var bands []tariff.Band
	for _, b := range t.Bands {
		if hours, err := tariff.ParseHours(b.Days, b.From, b.To); err == nil {
			bands = append(bands, tariff.Band{Hours: hours, PerMinute: amount(b.PerMinute)})
		}
	}
	return tariff.Tariff{
		Bands: bands, Zone: zone,
		Currency: t.Currency, SetUp: amount(t.SetUp), PerMinute: amount(t.PerMinute),
		Unit: seconds(t.UnitSeconds), Minimum: seconds(t.MinimumSeconds), Decimals: int32(t.Decimals), //nolint:gosec // 1 to 6
	}
}

func smarthost(cfg *config.Config) (*session.Smarthost, error) {
	s := cfg.Smarthost
	if s == nil {
		return nil, nil //nolint:nilnil // no smarthost is a configuration like any other
	}
	trust, err := clientTLS(cfg.TLS, s.Server)
	if err != nil {
		return nil, err
	}
	return &session.Smarthost{Address: address(s.Server), Relay: relay.Options{
		Hello: s.Hello, TLS: relay.TLSMode(s.TLS), TLSConfig: trust, User: s.User, Password: s.Password,
		AllowPlainAuth: s.AllowPlain, Timeout: s.Patience(),
	}}, nil
}

// accountOf is what a box is known by in the queue, whatever it is called.
func accountOf(b config.Box) string { return b.User + "@" + b.Host }

func (o *office) boxes() ([]session.Box, error) {
	boxes := make([]session.Box, 0, len(o.cfg.Boxes))
	for _, b := range o.cfg.Boxes {
		trust, err := clientTLS(o.cfg.TLS, b.Server)
		if err != nil {
			return nil, err
		}
		boxes = append(boxes, session.Box{
			Name: b.Name, Account: accountOf(b), Address: address(b.Server),
			HoldAbove: func(now time.Time) int64 { return o.cfg.HoldIn(b, now) }, HoldExpire: o.cfg.HoldExpire(b),
			KeepUnread: b.Leave == config.LeaveRead,
			POP3: pop3.Options{
				TLS: pop3.TLSMode(b.TLS), TLSConfig: trust, User: b.User, Password: b.Password, AllowPlainAuth: b.AllowPlain,
				LeaveDays: leaveDays(b), MaxBytes: b.MaxMessageBytes, Timeout: b.Patience(), Preview: o.cfg.Hold.NoteLines,
				Mechanism: mechanisms[b.Auth], Token: tokens(b.TokenCommand),
			},
		})
	}
	return boxes, nil
}

// leaveDays is how long mail stays in a box after it was collected, as pop3 has it.
func leaveDays(b config.Box) int {
	switch b.Leave {
	case config.LeaveAlways:
		return -1
	case config.LeaveDays:
		return b.LeaveDays
	}
	return 0
}

// mechanisms are the words of a box's auth key.
var mechanisms = map[string]pop3.Mechanism{
	config.AuthPassword: pop3.MechanismAny, config.AuthPlain: pop3.MechanismPlain,
	config.AuthAPOP: pop3.MechanismAPOP, config.AuthXOAUTH2: pop3.MechanismXOAUTH2,
}

func address(s config.Server) string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// clientTLS is how a server's certificate is checked: never less than TLS 1.2,
// against the system's certificates or those of ca_file.
func clientTLS(t config.TLS, s config.Server) (*tls.Config, error) {
	// Small records are for those who show what comes before it is whole; each costs 22 octets.
	c := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	if !t.PostQuantum {
		c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
	}
	if s.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s holds no certificate in PEM", s.CAFile)
	}
	return c, nil
}
