package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"outpost/internal/session"
	"outpost/modem/modemtest"
	"outpost/queue"
)

// slow is a line on which a call lasts.
var slow = modemtest.Options{Up: 2400, Down: 2400, Delay: 300 * time.Millisecond}

// hangup runs the command and gives what it printed and its exit code.
func (d *daemon) hangup(args ...string) (string, int) {
	d.t.Helper()
	text, err := d.command(append([]string{"hangup"}, args...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	d.t.Logf("outpost hangup %s:\n%s", strings.Join(args, " "), text)
	if exit != nil {
		return string(text), exit.ExitCode()
	}
	return string(text), 0
}

// confirmed fails the test unless the command said that the line is down, the line
// is, and it was said for a reason.
func (d *daemon) confirmed(text string, code int) {
	d.t.Helper()
	expect(d.t, text, `(?m)^line landline: on-hook \((OK to ATH|NO CARRIER)`)
	if code != exitOK || d.r.modem.Counters().OffHook {
		d.t.Errorf("exit code %d, off-hook %v; the daemon:\n%s", code, d.r.modem.Counters().OffHook, d.stderr)
	}
}

// lastRow reads the ledger behind a daemon that is gone.
func (d *daemon) lastRow() queue.Call {
	d.t.Helper()
	q, err := queue.Open(d.cfg.Storage.Dir, queue.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	defer q.Close()
	row, err := q.Call(0)
	if err != nil {
		d.t.Fatal(err)
	}
	return row
}

// reachable lets another user run a program that a test built.
func reachable(t *testing.T, bin string) string {
	t.Helper()
	if err := os.Chmod(filepath.Dir(filepath.Dir(bin)), 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}

// A technician asks, whatever state the daemon is in. Each of these ends with the
// line down and proof of it, or with exit code 5.
func TestHangupCommand(t *testing.T) {
	bin := reachable(t, build(t))
	with := func(name string, line modemtest.Options, uid int, test func(*testing.T, *daemon)) {
		t.Run(name, func(t *testing.T) {
			if uid != 0 && os.Getuid() != 0 {
				uid = 0 // we have no rights ourselves
			}
			t.Parallel()
			d := newDaemon(t, bin, line, uid)
			d.callUntil(session.Exchanging)
			test(t, d)
		})
	}

	with("daemon well", slow, 0, func(t *testing.T, d *daemon) {
		if !d.ignores(syscall.SIGTSTP) {
			t.Error("Ctrl-Z stops a daemon that has a line open")
		}
		text, code := d.hangup()
		d.confirmed(text, code)
		expect(t, text, `hanging up`, `error: the call on line landline ended early: asked to hang up by \w+|problem: the call ended early: asked to hang up by \w+`)
		text, code = d.hangup() // on a line that is down
		d.confirmed(text, code)
		show, err := d.command("calls", "show").CombinedOutput()
		if err != nil {
			t.Error(err)
		}
		expect(t, string(show), `Call 1 on line landline`, `asked to hang up by`, `answered: +\d`, `the dialogue with the modem:`,
			`  > ATDT5551234`, `  < CONNECT 2400`, `  -- hang-up: OK to ATH`)
		show, err = d.command("calls", "show", "1", "--json").CombinedOutput()
		if err != nil {
			t.Error(err)
		}
		expect(t, string(show), `"on_hook": true`, `"transcript": ".*ATDT5551234`)
		if show, err = d.command("calls", "show", "7").CombinedOutput(); err == nil {
			t.Errorf("call 7: %s", show)
		}
		expect(t, string(show), `no such call`)
	})

	// Nothing of the daemon runs, its port is open and for root not taken: the modem is
	// hung up beside it.
	with("daemon stopped, as root", slow, 0, func(t *testing.T, d *daemon) {
		if os.Getuid() != 0 {
			t.Skip("only for root a port that is taken can be opened")
		}
		d.signal(syscall.SIGSTOP)
		defer d.signal(syscall.SIGCONT)
		var exit *exec.ExitError
		said, err := d.command("status").CombinedOutput()
		if !errors.As(err, &exit) || exit.ExitCode() != exitNotRunning {
			t.Errorf("status: %v", err)
		}
		expect(t, string(said), `error: the daemon does not answer`, `hint: .*outpost hangup`)
		text, code := d.hangup()
		d.confirmed(text, code)
		expect(t, text, `the daemon does not answer for 5s: going to the modems`, `still there and may dial again: kill -9 \d+`)
		if d.dead() {
			t.Error("the daemon was ended without need")
		}
	})

	// The port can't be had while the daemon lives. It gets the chance to end in order.
	with("daemon stopped, as its user", slow, nobody, func(t *testing.T, d *daemon) {
		d.signal(syscall.SIGSTOP)
		text, code := d.hangup()
		d.confirmed(text, code)
		expect(t, text, `does not answer`, `ending the daemon \(process \d+\)`, `(?m)^it has ended$`)
		<-d.exited
		if row := d.lastRow(); !row.OnHook || row.Ended.IsZero() {
			t.Errorf("the ledger has %+v", row)
		}
	})

	// The daemon cannot end the call, as the modem doesn't escape and the far end hears
	// nothing: it is killed, and that drops DTR.
	hopeless := slow
	hopeless.IgnoreEscape, hopeless.HUPCL = true, true
	with("daemon can't hang up", hopeless, nobody, func(t *testing.T, d *daemon) {
		if os.Getuid() != 0 {
			t.Skip("only root can give a killed process's pseudo-terminal free, which a serial port is by itself")
		}
		d.r.modem.Freeze(time.Hour)
		text, code := d.hangup("--force")
		d.confirmed(text, code)
		expect(t, text, `ending the daemon`, `killing it`, `(?m)^it is gone$`)
		<-d.exited
		if row := d.lastRow(); !row.OnHook || row.Ended.IsZero() || row.Units == 0 {
			t.Errorf("the ledger has %+v", row)
		}
	})

	// Nobody can hang this modem up, and nobody says so.
	deaf := slow
	deaf.IgnoreEscape, deaf.IgnoreDTR, deaf.HUPCL = true, true, true
	with("modem deaf", deaf, nobody, func(t *testing.T, d *daemon) {
		d.r.modem.Freeze(time.Hour)
		text, code := d.hangup("--force")
		if code != exitLineOpen || strings.Contains(text, "on-hook (") || !d.r.modem.Counters().OffHook {
			t.Errorf("exit code %d, off-hook %v", code, d.r.modem.Counters().OffHook)
		}
		expect(t, text, `line landline: NOT CONFIRMED`, `error: line landline is not confirmed`, `hint: .*switch the modem off`, `> \+\+\+`)
		<-d.exited
		if row := d.lastRow(); row.OnHook || !row.Ended.IsZero() {
			t.Errorf("the ledger has %+v", row)
		}
	})

	with("daemon killed before", slow, 0, func(t *testing.T, d *daemon) {
		d.stop()
		text, code := d.hangup()
		d.confirmed(text, code)
		expect(t, text, `the daemon is not running .*: going to the modems`)
		if row := d.lastRow(); !row.OnHook || row.Ended.IsZero() || row.Units == 0 {
			t.Errorf("the ledger has %+v", row)
		}
	})
}

// ignores reads whether a process ignores a signal.
func (d *daemon) ignores(s syscall.Signal) bool {
	d.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.process.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	m := regexp.MustCompile(`SigIgn:\s+([0-9a-f]+)`).FindSubmatch(text)
	if m == nil {
		d.t.Fatalf("no SigIgn in %s", text)
	}
	mask, err := strconv.ParseUint(string(m[1]), 16, 64)
	return err == nil && mask>>(s-1)&1 == 1
}

func (d *daemon) signal(s os.Signal) {
	d.t.Helper()
	if err := d.process.Process.Signal(s); err != nil {
		d.t.Error(err)
	}
}
