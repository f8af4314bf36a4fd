package peers

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

const (
	// startTimeout is how long a server may take until it answers. It takes a
	// tenth of a second; a busy machine under the race detector needs more.
	startTimeout = 30 * time.Second
	// lookInterval is the time between two looks at something another process
	// does, which has no channel to tell us by.
	lookInterval = 10 * time.Millisecond
	// logShown is how much of a server's log a failed test shows, in octets.
	logShown = 32 << 10
)

// process is a server that runs until the test ends. Safe for any goroutine.
type process struct {
	name string
	log  string // path of its log
	done chan struct{}
	err  error // how it ended; valid once done is closed
}

// command is a program with its arguments. Its life is start's business alone:
// t's own context ends before t's clean-ups run, and those may still need it.
func command(t testing.TB, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.WithoutCancel(t.Context()), find(program), args...) //nolint:gosec // no foreign input
}

// start runs a server in a session of its own, so that all it starts itself can be
// ended with it. What it says goes to the file log, unless cmd has other plans. Its
// end is waited for before any clean-up that was registered earlier runs.
func start(t testing.TB, cmd *exec.Cmd, log string) *process {
	t.Helper()
	p := &process{name: cmd.Args[0], log: log, done: make(chan struct{})}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // the server may have dropped root's rights
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if cmd.Stdout == nil {
		cmd.Stdout, cmd.Stderr = out, out
	}
	ownSession(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		// Not asked to end but killed: it has nothing left to do, its folder goes
		// next, and a leftover would keep its port, or its pty, for the next test.
		endGroup(cmd, p.done)
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.name, tail(p.log))
		}
	})
	return p
}

// awaitGreeting returns when the server greets whoever connects to the address,
// with TLS from the first octet if trust isn't nil. To be accepted is not enough:
// a master process may accept before its servers turn out not to work.
func (p *process) awaitGreeting(t testing.TB, address string, trust *tls.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	p.await(ctx, t, func() bool {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return false
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		if trust != nil {
			conn = tls.Client(conn, trust)
		}
		_, err = conn.Read(make([]byte, 1))
		return err == nil
	})
}

// await returns when ready does; the test fails if the server ends first, or
// if ctx does.
func (p *process) await(ctx context.Context, t testing.TB, ready func() bool) {
	t.Helper()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for !ready() {
		select {
		case <-look.C:
		case <-p.done:
			t.Fatalf("%s ended before it was ready: %v", p.name, p.err)
		case <-ctx.Done():
			t.Fatalf("%s was not ready in time: %v", p.name, ctx.Err())
		}
	}
}

// freeAddress returns an address of the loopback that nobody listens at. The
// port is below those that systems give to outgoing connections (32768 and up on
// Linux, RFC 6335 §6 has 49152), for one of them could take it before the server does.
// Other tests are kept from choosing it meanwhile by the UDP port of the same
// number, which is held until the test ends.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000))) //nolint:gosec // no secret
		mark, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", address)
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = mark.Close() })
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no free port among a hundred tried")
	return ""
}

// port is the port of an address that freeAddress returned.
func port(address string) string {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return p
}

// tail returns the end of a log, or why it can't be had.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-logShown):])
}
