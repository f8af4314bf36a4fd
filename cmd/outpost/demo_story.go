package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"outpost/internal/isp"
	"outpost/modem/modemtest"
)

const (
	officeDomain   = "clinic.example"
	providerDomain = "provider.example"
	demoPassword   = "demo-secret"
)

// preset is a kind of line with what suits it: its price, and so much mail that
// the call takes about a minute.
type preset struct {
	name     string
	rate     int           // bit/s, both ways
	rtt      time.Duration // round trip
	dialTime time.Duration
	number   string
	profile  string
	tls      isp.TLSMode
	tariff   string // TOML
	letters  int    // how many of the day's letters each way; 0: all
	outBytes int64  // mail to send
	inBytes  int64  // mail to collect
}

var presets = []preset{
	{
		name: "landline", rate: 33600, rtt: 150 * time.Millisecond, dialTime: 20 * time.Second, number: "0,5551234",
		profile: "generic", tls: isp.TLSImplicit, outBytes: 40_000, inBytes: 60_000,
		tariff: "currency = \"EUR\"\nset_up = \"0.10\"\nper_minute = \"0.06\"\nunit_seconds = 60\n",
	},
	{
		name: "gsm", rate: 9600, rtt: 600 * time.Millisecond, dialTime: 15 * time.Second, number: "*99#",
		profile: "gsm", tls: isp.TLSImplicit, outBytes: 14_000, inBytes: 20_000,
		tariff: "currency = \"KES\"\nper_minute = \"7.50\"\nunit_seconds = 30\n",
	},
	{
		// Dial-in gateways of satellite networks are closed networks, often
		// without TLS; at 2400 bit/s a handshake alone takes 20 s. Four letters
		// each way are a minute's call.
		name: "iridium", rate: 2400, rtt: 1800 * time.Millisecond, dialTime: 20 * time.Second, number: "008816000025",
		profile: "iridium", tls: isp.TLSNone, letters: 4, outBytes: 3_000, inBytes: 6_000,
		tariff: "currency = \"USD\"\nper_minute = \"1.10\"\nunit_seconds = 20\n",
	},
}

func presetNamed(name string) (preset, error) {
	names := make([]string, 0, len(presets))
	for _, p := range presets {
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return preset{}, fmt.Errorf("no line %q; there are %s", name, strings.Join(names, ", "))
}

func (p preset) describe() string {
	return fmt.Sprintf("%s, %d bit/s, %s round trip, %s to connect", p.name, p.rate, p.rtt, p.dialTime)
}

func (p preset) modem() modemtest.Options {
	return modemtest.Options{Up: p.rate, Down: p.rate, Delay: p.rtt / 2, DialTime: p.dialTime}
}

// letter is one message of the story.
type letter struct {
	hour string
	text []byte
	from string   // handed in by the staff
	to   []string // handed in by the staff
	box  string   // waiting at the provider
}

// story is all mail of the day.
type story struct{ out, in []letter }

// newStory writes the day's mail, always the same. Two letters are for
// colleagues, one has a colleague and somebody outside.
func newStory(p preset) story {
	at := func(name string) string { return name + "@" + officeDomain }
	out := []letter{
		{hour: "07:40", from: at("ann"), to: []string{"supplies@ministry.example"}},
		{hour: "08:15", from: at("ben"), to: []string{at("ann")}},
		{hour: "09:05", from: at("ben"), to: []string{"lab@hospital.example", "archive@hospital.example"}},
		{hour: "11:30", from: at("chloe"), to: []string{"family@home.example", at("ben")}},
		{hour: "14:10", from: at("ann"), to: []string{"report@headoffice.example"}},
		{hour: "15:45", from: at("chloe"), to: []string{at("director")}},
		{hour: "17:20", from: at("ann"), to: []string{"donor@foundation.example"}},
	}
	in := []letter{
		{hour: "06:30", box: "ann"}, {hour: "09:50", box: "office"}, {hour: "12:00", box: "ben"},
		{hour: "13:30", box: "ann"}, {hour: "16:05", box: "office"}, {hour: "16:40", box: "ben"},
	}
	if p.letters > 0 {
		out, in = out[:p.letters], in[:p.letters]
	}
	for i, text := range isp.Letters(1, len(out), isp.LetterOptions{Bytes: p.outBytes}) {
		out[i].text = text
	}
	for i, text := range isp.Letters(2, len(in), isp.LetterOptions{Bytes: p.inBytes, Traced: true}) {
		in[i].text = text
	}
	return story{out, in}
}

// provider makes the provider with the day's mail in its boxes.
func (p preset) provider(s story, log *slog.Logger) (*isp.Provider, error) {
	boxes := make(map[string]isp.Box)
	for _, name := range []string{"ann", "ben", "office"} {
		boxes[name] = isp.Box{Password: demoPassword}
	}
	for _, l := range s.in {
		b := boxes[l.box]
		b.Messages = append(b.Messages, l.text)
		boxes[l.box] = b
	}
	return isp.New(isp.Options{
		Domain: providerDomain, User: "clinic", Password: demoPassword, SMTPUser: "clinic", SMTPPassword: demoPassword,
		TLS: p.tls, Boxes: boxes, Rate: p.rate, RTT: p.rtt, Log: log,
	})
}

// configuration is the office's configuration file. imap is where mailboxes are served, in
// quotes; "": nowhere.
func (p preset) configuration(listen, imap string, provider *isp.Provider) string {
	var b strings.Builder
	security := `tls = "implicit"` + "\n" + `ca_file = "provider-ca.pem"` + "\n"
	if p.tls == isp.TLSNone {
		security = "tls = \"none\"\nallow_plain_password = true\n"
	}
	fmt.Fprintf(&b, `[office]
name = "gateway.%[1]s"
domains = ["%[1]s"]
postmaster = "ann"
[storage]
dir = "data"
[smtp]
listen = [%[2]q]
[imap]
listen = [%[6]s]
[[user]]
name = "ann"
addresses = ["ann@%[1]s", "director@%[1]s"]
[[user]]
name = "ben"
addresses = ["ben@%[1]s"]
[[user]]
name = "chloe"
addresses = ["chloe@%[1]s"]
[smarthost]
host = %[3]q
user = "clinic"
password = %[4]q
%[5]s
`, officeDomain, listen, provider.SMTPHost(), demoPassword, security, imap)
	for _, box := range []struct{ name, users string }{{"ann", `"ann"`}, {"ben", `"ben"`}, {"office", `"ann", "chloe"`}} {
		fmt.Fprintf(&b, "[[box]]\nname = %q\nhost = %q\nuser = %q\npassword = %q\ndeliver_to = [%s]\n%s",
			box.name, provider.POPHost(), box.name, demoPassword, box.users, security)
	}
	fmt.Fprintf(&b, `[[line]]
name = %q
port = "simulated"
modem = %q
number = %q
user = "clinic"
password = %q
rate_bps = %d
round_trip_ms = %d
max_call_minutes = 20
[line.tariff]
%s`, p.name, p.profile, p.number, demoPassword, p.rate, p.rtt.Milliseconds(), p.tariff)
	return b.String()
}

// handIn sends a letter as a mail program does.
func handIn(ctx context.Context, addr string, l letter) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	c := smtp.NewClient(conn)
	defer c.Close()
	if err := c.SendMail(l.from, l.to, strings.NewReader(string(l.text))); err != nil {
		return err
	}
	return c.Quit()
}
