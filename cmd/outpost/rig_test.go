package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.bug.st/serial"

	"outpost/internal/config"
	"outpost/internal/dispatch"
	"outpost/internal/isp"
	"outpost/modem"
	"outpost/modem/modemtest"
	"outpost/queue"
)

// authority is shared by all providers of the tests: making keys takes time.
var authority = sync.OnceValues(isp.NewAuthority)

// rig is a whole office, a provider, and a simulated modem and line between
// them, in this process. The database folder outlives the office, so that it
// can be closed and opened as after a crash.
type rig struct {
	t        *testing.T
	dir      string
	provider *isp.Provider
	modem    *modemtest.Modem
	office   *office
	text     string // the configuration it was opened with
	address  string // where mail is handed in
	imap     string // where it is read; "": nowhere
	running  context.CancelFunc
	done     chan error
	log      *bytes.Buffer
	stuckDCD atomic.Bool  // the cable's carrier wire is stuck high
	portGone atomic.Bool  // the modem isn't plugged in
	logFrom  slog.Leveler // what of the log is kept; nil: all
}

// cable is the serial cable to the modem.
type cable struct {
	serial.Port
	rig *rig
}

func (c cable) GetModemStatusBits() (*serial.ModemStatusBits, error) {
	bits, err := c.Port.GetModemStatusBits()
	if err == nil && c.rig.stuckDCD.Load() {
		bits.DCD = true
	}
	return bits, err
}

// newRig makes the provider with its mail and the line; the office is opened by
// open.
func newRig(t *testing.T, provider isp.Options, line modemtest.Options, door ...modemtest.Login) *rig {
	t.Helper()
	keys, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	provider.Domain, provider.Authority = providerDomain, keys
	provider.User, provider.Password = "clinic", demoPassword
	p, err := isp.New(provider)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, provider: p, modem: modemtest.New(line), log: new(bytes.Buffer)}
	if r.dir, err = os.MkdirTemp("", "op"); err != nil { // short, for the socket's path
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	answering := make(chan error, 1)
	var answerer isp.Answerer = r.modem
	if len(door) > 0 { // a log-in in text before PPP
		answerer = door[0].At(r.modem)
	}
	go func() { answering <- p.Answer(ctx, answerer) }()
	t.Cleanup(func() {
		r.close()
		cancel()
		_ = r.modem.Close()
		<-answering
		_ = os.RemoveAll(r.dir)
		if t.Failed() {
			t.Logf("the office's log:\n%s", r.log)
		}
	})
	if err := os.WriteFile(filepath.Join(r.dir, "ca.pem"), p.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// configuration is a good one for the rig's provider; edits are old, new pairs.
func (r *rig) configuration(tls isp.TLSMode, edits ...string) string {
	security := "tls = \"implicit\"\nca_file = \"ca.pem\"\n"
	if tls == isp.TLSNone {
		security = "tls = \"none\"\nallow_plain_password = true\n"
	}
	text := fmt.Sprintf(`[office]
name = "gw.clinic.example"
domains = ["clinic.example"]
[storage]
dir = "data"
[smtp]
listen = ["smtp-port"]
[imap]
listen = ["127.0.0.1:0"]
[[user]]
name = "ann"
addresses = ["ann@clinic.example"]
[[user]]
name = "ben"
addresses = ["ben@clinic.example"]
[smarthost]
host = "smtp.provider.example"
%[1]s[[box]]
name = "ann"
host = "pop.provider.example"
user = "ann"
password = %[2]q
deliver_to = ["ann"]
%[1]s[[box]]
name = "ben"
host = "pop.provider.example"
user = "ben"
password = %[2]q
deliver_to = ["ben"]
%[1]s[[line]]
name = "landline"
port = "simulated"
number = "5551234"
user = "clinic"
password = %[2]q
[line.tariff]
currency = "EUR"
per_minute = "0.60"
unit_seconds = 10
`, security, demoPassword)
	return strings.NewReplacer(append(edits, `"smtp-port"`, `"127.0.0.1:0"`)...).Replace(text)
}

// open opens the office with a configuration and runs it.
func (r *rig) open(text string) *rig {
	r.t.Helper()
	r.text = text
	cfg, err := config.Parse(filepath.Join(r.dir, "outpost.toml"), []byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	level := r.logFrom
	if level == nil {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: level}))
	r.office, err = openOffice(cfg, opening{log: log, port: r.port})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d, err := r.office.listen(ctx)
	if err != nil {
		cancel()
		r.t.Fatal(err)
	}
	r.address, r.imap = d.plain[0].Addr().String(), ""
	if len(d.imap) > 0 {
		r.imap = d.imap[0].Addr().String()
	}
	r.running, r.done = cancel, make(chan error, 1)
	go func() { r.done <- r.office.run(ctx, d) }()
	return r
}

// port opens the serial port.
func (r *rig) port(opt modem.PortOptions) (serial.Port, error) {
	if r.portGone.Load() {
		return nil, &modem.OpenError{Name: opt.Name, Err: fs.ErrNotExist}
	}
	return cable{r.modem.Port(), r}, nil
}

// close ends the office in order.
func (r *rig) close() {
	if r.running == nil {
		return
	}
	r.running()
	r.running = nil
	if err := <-r.done; err != nil {
		r.t.Errorf("the office ended with %v", err)
	}
	if err := r.office.close(); err != nil {
		r.t.Errorf("closing: %v", err)
	}
}

// submit puts a message of the staff into the queue.
func (r *rig) submit(text []byte, to ...string) {
	r.t.Helper()
	m := queue.Message{Origin: queue.Submitted, From: "ann@clinic.example"}
	for _, a := range to {
		m.To = append(m.To, queue.Recipient{Addr: a, Where: queue.Remote})
	}
	if _, err := r.office.queue.Add(r.t.Context(), m, bytes.NewReader(text)); err != nil {
		r.t.Fatal(err)
	}
}

// lineChecked waits until the line is known to be down.
func (r *rig) lineChecked() {
	r.t.Helper()
	r.until("the line is checked", func() bool {
		s := r.office.dispatch.Status().State
		return s != dispatch.Starting && s != dispatch.LineOpen
	})
}

// call places a call and waits for its end.
func (r *rig) call() (queue.Call, error) {
	r.t.Helper()
	r.lineChecked()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute)
	defer cancel()
	return r.office.dispatch.Connect(ctx, "test")
}

// until waits for something to become true.
func (r *rig) until(what string, true func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// delivered waits until nothing is on its way to a mail folder.
func (r *rig) delivered() {
	r.t.Helper()
	r.until("everything is delivered", func() bool {
		s, err := r.office.status()
		return err == nil && s.Undelivered == 0
	})
}

// folder gives a user's messages, line ends as CRLF.
func (r *rig) folder(user string) [][]byte {
	return inbox(r.office.cfg, user)
}

// copies counts the messages that end in text.
func copies(messages [][]byte, text []byte) (n int) {
	for _, m := range messages {
		if bytes.HasSuffix(m, text) {
			n++
		}
	}
	return n
}

// received gives the contents of what the smarthost accepted.
func (r *rig) received() (texts [][]byte) {
	for _, m := range r.provider.Received() {
		texts = append(texts, m.Data)
	}
	return texts
}
