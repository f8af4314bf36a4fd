package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"outpost/internal/control"
	"outpost/internal/isp"
	"outpost/internal/session"
	"outpost/modem"
	"outpost/modem/modemtest"
)

// nobody is a user without rights, for whom a port that another process has taken
// exclusively is taken; for root it isn't.
const nobody = 65534

// daemon is the real program, serving in a process of its own on a simulated modem
// behind a pseudo-terminal.
type daemon struct {
	*killed
	r    *rig
	bin  string
	uid  int // that everything runs as; 0: ours
	port string
}

// newDaemon starts one and waits until its lines are checked.
func newDaemon(t *testing.T, bin string, line modemtest.Options, uid int) *daemon {
	t.Helper()
	provider, out := mail()
	provider.TLS = isp.TLSNone
	line.NoStatusBits = true
	d := &daemon{r: newRig(t, provider, line), killed: newKilled(t), bin: bin, uid: uid}
	var err error
	if d.port, err = d.r.modem.PTY(); err != nil {
		t.Fatal(err)
	}
	text := d.r.configuration(isp.TLSNone, `"simulated"`, strconv.Quote(d.port), `"smtp-port"`, strconv.Quote(d.address))
	if err := os.WriteFile(d.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{d.port, d.path, filepath.Dir(d.path)} {
		if err := os.Chown(path, uid, -1); uid != 0 && err != nil {
			t.Fatal(err)
		}
	}
	d.serve()
	for i, m := range out {
		to := "x" + strconv.Itoa(i) + "@far.example"
		if err := handIn(t.Context(), d.address, letter{from: "ann@clinic.example", to: []string{to}, text: m}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *daemon) command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.bin, append(args, "--config", d.path)...)
	if d.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(d.uid), Gid: nobody}}
	}
	return cmd
}

// serve starts the daemon and waits until it has checked its lines.
func (d *daemon) serve() {
	d.t.Helper()
	d.launch()
	client := control.NewClient(d.cfg.Storage.Socket)
	d.await("the line is checked", func(ctx context.Context) bool {
		s, err := client.Status(ctx)
		return err == nil && s.State == "idle" || d.dead()
	})
}

func (d *daemon) launch() {
	d.t.Helper()
	d.stderr = new(bytes.Buffer)
	d.process = d.command("serve")
	d.process.Stderr = d.stderr
	if err := d.process.Start(); err != nil {
		d.t.Fatal(err)
	}
	exited, process := make(chan struct{}), d.process
	d.exited = exited
	go func() {
		defer close(exited)
		_ = process.Wait()
	}()
}

// callUntil asks for a call and returns once it is in a phase, with the line held.
func (d *daemon) callUntil(phase string) {
	d.t.Helper()
	reached := make(chan struct{})
	go func() {
		defer close(reached)
		_, _ = control.NewClient(d.cfg.Storage.Socket).Connect(d.t.Context(), "test", func(l control.Line) {
			if l.Event.Phase == phase && l.Event.Kind == session.PhaseBegan {
				reached <- struct{}{}
			}
		})
	}()
	select {
	case _, ok := <-reached:
		if !ok {
			d.t.Fatalf("the call has ended before it was %s:\n%s", phase, d.stderr)
		}
	case <-time.After(time.Minute):
		d.t.Fatalf("no call in phase %s after a minute", phase)
	}
	d.await("the line is held", func(context.Context) bool { return d.r.modem.Counters().OffHook })
}

// down waits until the line is down and says how long that took.
func (d *daemon) down(since time.Time) time.Duration {
	d.t.Helper()
	d.await("the line is down", func(context.Context) bool { return !d.r.modem.Counters().OffHook })
	return time.Since(since)
}

// killPhases are the phases of a call, each with a line on which it lasts.
var killPhases = []struct {
	phase string
	line  modemtest.Options
}{
	{session.Dialling, modemtest.Options{DialTime: time.Minute}},
	{session.Linking, modemtest.Options{Up: 300, Down: 300, Delay: time.Second}},
	{session.Exchanging, modemtest.Options{Up: 2400, Down: 2400, Delay: 300 * time.Millisecond}},
	{session.HangingUp, modemtest.Options{IgnoreEscape: true}},
}

// The daemon is killed with kill -9 in each phase of a call. Where the port drops
// DTR with its last descriptor, as a serial port does, the line is down at once.
// Where nothing drops, it is as soon as the daemon runs again, before anything else.
func TestKillInEachPhase(t *testing.T) {
	bin := build(t)
	p := modem.Generic()
	// ATH that nobody answers, silence, +++, silence, ATH; and a second for a slow
	// computer to start the program.
	limit := 2*p.CommandTimeout + 2*p.GuardTime + time.Second
	for _, c := range killPhases {
		for _, hupcl := range []bool{true, false} {
			name := strings.ReplaceAll(c.phase, " ", "-") + map[bool]string{true: "/port drops DTR", false: "/port keeps the call"}[hupcl]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				line := c.line
				line.HUPCL = hupcl
				d := newDaemon(t, bin, line, 0)
				d.callUntil(c.phase)
				killed := time.Now()
				d.stop()
				if hupcl {
					if took := d.down(killed); took > time.Second {
						t.Errorf("the line was down %v after the kill", took)
					} else {
						t.Logf("the line was down %v after the kill", took.Round(time.Millisecond))
					}
					return
				}
				if !d.r.modem.Counters().OffHook {
					t.Fatal("the line is down already: this tests nothing")
				}
				d.r.modem.Set(func(o *modemtest.Options) { o.IgnoreEscape = false })
				started := time.Now()
				d.launch()
				if took := d.down(started); took > limit {
					t.Errorf("the line was down %v after the start, limit %v:\n%s", took, limit, d.stderr)
				} else {
					t.Logf("the line was down %v after the start, limit %v", took.Round(time.Millisecond), limit)
				}
				d.rowIsClosed()
			})
		}
	}
}

// rowIsClosed waits until the daemon is idle, and looks at the row of the call that
// was cut off.
func (d *daemon) rowIsClosed() {
	d.t.Helper()
	client := control.NewClient(d.cfg.Storage.Socket)
	d.await("the lines are checked", func(ctx context.Context) bool {
		s, err := client.Status(ctx)
		return err == nil && s.State == "idle"
	})
	row, err := client.Call(d.t.Context(), 0)
	if err != nil || !row.OnHook || row.Ended.IsZero() || row.Error == "" {
		d.t.Errorf("the ledger has %+v, %v", row, err)
	}
	if n := d.r.modem.Counters().Dials; n != 1 {
		d.t.Errorf("%d dials", n)
	}
}
