package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"outpost/modem"
	"outpost/modem/modemtest"
)

// A pretend pppd, where there is no kernel for a real one: a program that takes
// the same options, says the same words and is ended in the same ways. TestRealPPPD
// shows that the real one does.
const fakePPPD = `#!/bin/sh
here=$(dirname "$0")
[ "$1" = dryrun ] && { echo "$@" >"$here/rehearsed"; %s
exit 0; }
echo "$@" >"$here/arguments"
while [ $# -gt 0 ]; do [ "$1" = file ] && cp -p "$2" "$here/secrets"; shift; done
exec 3<&0
%s
`

// Ways for it to go on.
const (
	fakeUp = `echo "Using interface lo
Connect: lo <--> /dev/pts/3
local  IP address 127.0.0.1
remote IP address 10.1.0.1
primary   DNS address 10.9.9.1
secondary DNS address 10.9.9.1" >&2
`
	fakeCat    = "trap 'echo \"Terminating on signal 2\" >&2; kill $!; exit 5' INT\ncat <&3 &\nwait\nexit 16\n"
	fakeNoEnd  = "trap '' INT TERM\ncat <&3\nsleep 600\n"
	fakeRefuse = `echo 'rcvd [PAP AuthNak id=0x1 "no such account"]
PAP authentication failed
Modem hangup' >&2
exit 16
`
)

// fakeLine is a line with a pretend pppd; answered gives the far end of its calls.
func fakeLine(t *testing.T, dry, script string) (l *PPPDLine, dev *modemtest.Modem, answered chan io.ReadWriteCloser) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pppd")
	if err := os.WriteFile(program, fmt.Appendf(nil, fakePPPD, dry, script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	dev = modemtest.New(modemtest.Options{})
	t.Cleanup(func() { dev.Close() })
	answered = make(chan io.ReadWriteCloser, 4)
	go func() {
		for {
			stream, err := dev.Accept(context.Background())
			if err != nil {
				return
			}
			answered <- stream
		}
	}()
	cfg := lineTo(dev).cfg
	cfg.PPP.Password = `se"cr\et`
	// With the default route nothing is changed on the loopback that it pretends to have brought up.
	l = NewPPPDLine(PPPDConfig{Modem: cfg, Program: program, Dir: t.TempDir(), Unit: 87, DefaultRoute: true, Options: []string{"call", "provider"}})
	t.Cleanup(func() { _ = l.Down(context.Background()) })
	return l, dev, answered
}

// wrote gives what the pretend pppd has written down.
func wrote(t *testing.T, l *PPPDLine, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(l.setup.Program), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPPPDLine(t *testing.T) {
	noLeak(t)
	l, dev, answered := fakeLine(t, "", fakeUp+fakeCat)
	if l.Lost() != nil || !l.Connected().IsZero() || l.Transcript() != "" || l.Name() != "test" || l.Number() != "5551234" {
		t.Error("a line that was never up has a past")
	}
	if _, err := l.DialContext(t.Context(), "tcp", "127.0.0.1:25"); kindIn(err) != LineLost {
		t.Errorf("dialling before Up: %v", err)
	}
	address := listenEcho(t)
	l.setup.Modem.Rate, l.setup.Modem.RTT = 33600, 2500*time.Millisecond
	for range 2 {
		var phases []string
		if err := l.Up(t.Context(), func(phase string) { phases = append(phases, phase) }); err != nil {
			t.Fatalf("%v\n%s", err, l.Transcript())
		}
		if got := strings.Join(phases, " "); got != "dialling linking" {
			t.Errorf("phases %q", got)
		}
		// What the far end sends goes to pppd, and what that sends comes back.
		far := <-answered
		back := make([]byte, 5)
		if _, err := io.WriteString(far, "~LCP~"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(far, back); err != nil || string(back) != "~LCP~" {
			t.Errorf("%q, %v", back, err)
		}
		c, err := l.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		wantTied(t, c, "lo", 3360)
		echoes(t, c, []byte("EHLO office\r\n"))
		if got := l.run().servers(t.Context()); len(got) != 2 || got[0].String() != "10.9.9.1" {
			t.Errorf("name servers %v", got)
		}
		if err := l.Up(t.Context(), nil); err == nil {
			t.Error("Up on a line that is up")
		}
		if err := l.Reset(t.Context()); err == nil {
			t.Error("Reset on a line that is up")
		}
		down(t, l, dev)
		if up, down := l.Counters(); up != 5 || down != 5 || l.Connected().IsZero() {
			t.Errorf("%d octets up, %d down, connected %v", up, down, l.Connected())
		}
		if _, err := c.Write([]byte("x")); kindIn(err) != LineLost || !errors.Is(err, ErrClosed) {
			t.Errorf("a connection outlived its line: %v", err)
		}
		if l.Err() != nil || !strings.Contains(l.Transcript(), "< Terminating on signal 2") {
			t.Errorf("%v\n%s", l.Err(), l.Transcript())
		}
	}
	args := wrote(t, l, "arguments")
	for _, want := range []string{"notty nodetach", "unit 87", " defaultroute", "noipdefault", " mtu 576", "lcp-restart 6", "call provider\n"} {
		if !strings.Contains(args, want) {
			t.Errorf("no %q in its arguments: %s", want, args)
		}
	}
	if got := wrote(t, l, "secrets"); got != "user \"office\"\npassword \"se\\\"cr\\\\et\"\n" {
		t.Errorf("secrets: %s", got)
	}
	if info, err := os.Stat(filepath.Join(filepath.Dir(l.setup.Program), "secrets")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of secrets: %v, %v", info.Mode(), err)
	}
	for _, text := range []string{args, wrote(t, l, "rehearsed"), l.Transcript()} {
		if strings.Contains(text, "cr") && strings.Contains(text, `se"`) {
			t.Errorf("the password stands in %s", text)
		}
	}
}

// The ways in which pppd fails: each with its words, and the modem is hung up.
func TestPPPDLineFails(t *testing.T) {
	for _, c := range []struct {
		name, dry, script string
		code              int
		says              string
		dials             int
	}{
		{"no kernel PPP", "exit 4\n", "", 4, "load the module", 0},
		{"an option", "echo \"pppd: unrecognized option 'teapot'\" >&2; exit 2\n", "", 2, "unrecognized option 'teapot'", 0},
		{"wrong password", "", fakeRefuse, 19, `it says "no such account"`, 1},
		{"no PPP there", "", "echo 'LCP: timeout sending Config-Requests' >&2; exit 10", 10, "timeout sending Config-Requests", 1},
		{"killed", "", "kill -9 $$", -1, "signal: killed", 1},
		{"guard", "", strings.Replace(fakeUp, "interface lo", "interface ppp0", 1) + fakeCat, -1, "pppd got ppp0 instead of ppp87", 1},
		{"says nothing", "", "echo 'local  IP address nowhere' >&2\n" + fakeCat, -1, "not where", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, dev, _ := fakeLine(t, c.dry, c.script)
			if c.name == "guard" {
				l.setup.Guard = true
				needGuard(t)
			}
			err := l.Up(t.Context(), nil)
			var e *PPPDError
			if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(err.Error()+" "+e.Advice(), c.says) {
				t.Errorf("%v (%+v)\n%s", err, e, l.Transcript())
			}
			down(t, l, dev)
			if got := dev.Counters().Dials; got != c.dials {
				t.Errorf("dialled %d times", got)
			}
		})
	}
	l := NewPPPDLine(PPPDConfig{Modem: ModemConfig{Name: "test"}, Program: "/no/pppd/here", Dir: t.TempDir()})
	var e *ProgramError
	if err := l.Up(t.Context(), nil); !errors.As(err, &e) || e.Advice() == "" {
		t.Errorf("no pppd: %v", err)
	}
	if err := l.Down(t.Context()); err != nil {
		t.Error(err)
	}
}

// Every exit status says something, and what can be done if anything can.
func TestPPPDEnds(t *testing.T) {
	for code := -1; code <= 20; code++ {
		e := &PPPDError{Code: code}
		if text := e.Error(); len(text) < len("link: pppd: it was") || strings.Contains(text, "%!") {
			t.Errorf("status %d: %s", code, text)
		}
	}
}

// An old pppd that can't replace a default route is used without that.
func TestPPPDWithoutReplacement(t *testing.T) {
	dry := `case "$*" in *replacedefaultroute*) echo "pppd: unrecognized option 'replacedefaultroute'" >&2; exit 2;; esac`
	l, dev, _ := fakeLine(t, dry, fakeUp+fakeCat)
	l.setup.root = true
	if err := l.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if args := wrote(t, l, "arguments"); !strings.Contains(args, " defaultroute") || strings.Contains(args, "replacedefaultroute") {
		t.Errorf("arguments %s", args)
	}
	down(t, l, dev)
}

func TestPPPDLineIsLost(t *testing.T) {
	l, dev, _ := fakeLine(t, "", fakeUp+fakeCat)
	for _, c := range []struct {
		name  string
		end   func()
		cause error
	}{
		{"carrier", dev.Cut, modem.ErrCarrierLost},
		{"pppd killed", func() { _ = endGroup(l.run().process, true) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := listenEcho(t)
			if err := l.Up(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			conn, err := l.DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			c.end()
			begun := time.Now()
			_, err = conn.Read(make([]byte, 1))
			if took := time.Since(begun); kindIn(err) != LineLost || c.cause != nil && !errors.Is(err, c.cause) || took > time.Second {
				t.Errorf("after %v: %v", took, err)
			}
			select {
			case <-l.Lost():
			case <-time.After(5 * time.Second):
				t.Fatal("the line doesn't count as lost")
			}
			var e *PPPDError
			if err := l.Err(); !errors.As(err, &e) || c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("lost: %v", err)
			}
			down(t, l, dev)
		})
	}
}

// One that won't end is killed, with all that it has started.
func TestPPPDWontEnd(t *testing.T) {
	l, dev, _ := fakeLine(t, "", fakeUp+fakeNoEnd)
	if err := l.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	down(t, l, dev)
}

// A pppd that a crash has left is ended at the next start, and the modem put
// on-hook; another process that has got its number by now is let be.
func TestPPPDLeftByACrash(t *testing.T) {
	crashed, dev, _ := fakeLine(t, "", fakeUp+fakeNoEnd)
	if err := crashed.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	left := crashed.run().process
	cfg := crashed.setup.PPPDConfig
	cfg.Modem.pppd = nil
	if err := os.WriteFile(crashed.setup.secretsFile(), []byte("password x"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := NewPPPDLine(cfg)
	if err := l.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-crashed.run().Done()
	if err := left.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("it lives on: %v", err)
	}
	down(t, l, dev)

	for _, text := range []string{
		fmt.Sprintf("%d some-other-boot 1234\n", os.Getpid()), "999999999 x 1\n", "1 x\n", "half", "",
	} {
		if err := os.WriteFile(l.setup.pidFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, err := leftPID(l.setup.pidFile()); pid != 0 || err != nil {
			t.Errorf("%q names process %d, %v", text, pid, err)
		}
	}
	if err := writePID(l.setup.pidFile(), os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if pid, err := leftPID(l.setup.pidFile()); pid != os.Getpid() || err != nil {
		t.Errorf("our own process is %d, %v", pid, err)
	}
}

// What pppd says without end is bounded.
func TestPPPDTalksTooMuch(t *testing.T) {
	l, dev, _ := fakeLine(t, "", "head -c 3000000 /dev/zero >&2; yes 'sent [LCP EchoReq]' | head -n 100000 >&2\n"+fakeUp+fakeCat)
	if err := l.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := len(l.Transcript()); n > 3*maxJournal {
		t.Errorf("the transcript has %d octets", n)
	}
	down(t, l, dev)
}

func FuzzPPPDLog(f *testing.F) {
	for _, s := range []string{fakeUp, fakeRefuse, "Using interface \t\nlocal  IP address \x00\nrcvd [CHAP Failure id=0x1 \"\"\n\"", "pppd: unrecognized option 'x'"} {
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, text string, cut int) {
		var log pppdLog
		lines := 0
		w := &lineWriter{each: func(line string) {
			lines++
			if len(line) > maxLine || strings.Contains(line, "\n") || line == "" {
				t.Errorf("line %q", line)
			}
			log.note(line)
		}}
		cut = min(max(cut, 0), len(text))
		for _, part := range []string{text[:cut], text[cut:]} {
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
		}
		w.end()
		if lines > strings.Count(text, "\n")+1 || len(log.dns) > maxNameServers || len(log.why) > maxLine || len(log.peer) > maxLine {
			t.Errorf("%d lines, %+v", lines, log)
		}
		if log.up && !strings.Contains(text, "local  IP address ") {
			t.Error("up without an address")
		}
	})
}
