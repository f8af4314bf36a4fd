package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"outpost/internal/config"
	"outpost/internal/isp"
	"outpost/modem/modemtest"
	"outpost/queue"
)

// tester is a configuration for a simulated modem behind a pseudo-terminal.
type tester struct {
	*rig
	path string
	cfg  *config.Config
}

func newTester(t *testing.T, line modemtest.Options, faults isp.Faults) *tester {
	t.Helper()
	line.NoStatusBits = true
	r := newRig(t, isp.Options{TLS: isp.TLSNone, Faults: faults}, line)
	port, err := r.modem.PTY()
	if err != nil {
		t.Fatal(err)
	}
	u := &tester{rig: r, path: filepath.Join(r.dir, "outpost.toml")}
	text := r.configuration(isp.TLSNone, `"simulated"`, strconv.Quote(port))
	if err := os.WriteFile(u.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if u.cfg, err = config.Load(u.path); err != nil {
		t.Fatal(err)
	}
	return u
}

// outpost runs the program in this process.
func (u *tester) outpost(args ...string) (code int, out, errs string) {
	u.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(u.t.Context(), append(args, "--config", u.path), stdio{strings.NewReader(""), &stdout, &stderr})
	u.t.Logf("outpost %s: %d\n%s%s", strings.Join(args, " "), code, &stdout, &stderr)
	if u.modem.Counters().OffHook {
		u.t.Error("off-hook")
	}
	return code, stdout.String(), stderr.String()
}

// database makes the folder that a daemon would have made.
func (u *tester) database() {
	u.t.Helper()
	q, err := queue.Open(u.cfg.Storage.Dir, queue.Options{})
	if err != nil {
		u.t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		u.t.Fatal(err)
	}
}

func TestDialTest(t *testing.T) {
	u := newTester(t, modemtest.Options{DialTime: 100 * time.Millisecond, ConnectLine: "CONNECT 33600/ARQ"}, isp.Faults{})
	code, out, errs := u.outpost("modem", "dial-test")
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	expect(t, out, `(?m)^ +0\.\d\d s  port open$`, `s  modem ready`, `s  dialling 5551234`, `s  CONNECT 33600/ARQ`, `s  link up, our address is \d+\.`,
		`s  \S+ answered the echo after 0\.\d+ s`, `s  on-hook: OK to ATH, DCD unknown`, `line up \d+\.\d s, \d+ octets up`,
		`this call: 0\.10 EUR; a call of a minute: 0\.60 EUR`)
	expect(t, errs, `calling 5551234 on line landline, which costs money: 0\.60 EUR a minute`, `will not be in the ledger`)
	if _, err := os.Stat(u.cfg.Storage.Dir); err == nil {
		t.Error("the test has made the daemon's folder")
	}

	u.database()
	code, out, _ = u.outpost("modem", "dial-test", "landline", "--json")
	var got dialResult
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK {
		t.Fatal(err, code)
	}
	if !got.OK || !got.OnHook || got.Connect != "CONNECT 33600/ARQ" || got.Ping == nil || got.Ping.RTT <= 0 || got.Call != 1 ||
		got.Cost != "0.10 EUR" || got.Peer == "" || len(got.Steps) < 6 || got.Up == 0 || !strings.Contains(got.Transcript, "ATDT5551234") {
		t.Errorf("%+v", got)
	}
	q, err := queue.Open(u.cfg.Storage.Dir, queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	row, err := q.Call(0)
	if err != nil || row.Reason != "dial test" || !row.OnHook || row.Units != 1 || row.Transcript == "" {
		t.Errorf("%+v, %v", row, err)
	}
	// With the database in use there is a daemon, whatever else says so.
	if code, _, errs := u.outpost("modem", "dial-test"); code != exitFailed || !strings.Contains(errs, "the daemon is running") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	q.Close()
	release, err := claimPID(u.cfg.Storage.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := u.outpost("modem", "dial-test"); code != exitFailed || !strings.Contains(errs, "outpost connect") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	release()
	if n := u.modem.Counters().Dials; n != 2 {
		t.Errorf("%d dials", n)
	}
}

// What goes wrong is said with what the modem said and what to do.
func TestDialTestFails(t *testing.T) {
	for _, c := range []struct {
		name   string
		line   modemtest.Options
		faults isp.Faults
		out    []string
		errs   []string
	}{
		{"busy", modemtest.Options{Answer: "BUSY"}, isp.Faults{}, []string{`< BUSY`, `s  no connection`}, []string{`error: .*BUSY`, `hint: the number is busy`}},
		{"wrong password", modemtest.Options{}, isp.Faults{RefuseAuth: true}, []string{`< CONNECT`, `s  CONNECT`, `s  no link`}, []string{`error: .*linking`, `hint: Check user and password`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newTester(t, c.line, c.faults)
			code, out, errs := u.outpost("modem", "dial-test", "landline")
			if code != exitFailed {
				t.Errorf("exit code %d", code)
			}
			expect(t, out, append(c.out, `s  on-hook: `, `the dialogue with the modem`, `> ATDT5551234`)...)
			expect(t, errs, c.errs...)
			code, out, _ = u.outpost("modem", "dial-test", "--json")
			var got dialResult
			if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailed || got.OK || !got.OnHook || got.Error == "" || got.Hint == "" {
				t.Errorf("%d, %+v, %v", code, got, err)
			}
		})
	}
	u := newTester(t, modemtest.Options{}, isp.Faults{})
	if code, _, errs := u.outpost("modem", "dial-test", "iridium"); code != exitUsage || !strings.Contains(errs, "there are: landline") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
