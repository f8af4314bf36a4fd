package peers

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// guestPorts is how many serial lines a guest has. Each serves one call, so that
// nothing of an earlier one can be left on it.
const guestPorts = 32

// nudgeInterval is the longest that a guest may oversleep. It is short beside the
// round trip of a line on which that could be mistaken for a loss.
const nudgeInterval = 20 * time.Millisecond

// Guest is a Linux that was booted in user mode (Debian's user-mode-linux) for its
// kernel's PPP and TCP and for Debian's pppd: an ordinary process, without rights of
// its own, and without a network but its serial lines. Its methods are safe for any
// goroutine.
type Guest struct {
	dir     string
	process *process
	orders  *os.File
	answers chan string

	ordering sync.Mutex // one order at a time

	mu    sync.Mutex
	ports []*serialPort
	free  int // the first of ports that no call has had
}

// serialPort is the host's side of one serial line.
type serialPort struct {
	number int
	master *os.File
	tty    *os.File        // kept open, or master would give errors while the guest doesn't have it open
	log    strings.Builder // what pppd said; under Guest.mu
}

// StartGuest boots a Linux, which takes a second or two. It ends with the test.
func StartGuest(t testing.TB) *Guest {
	t.Helper()
	needUML(t)
	g := &Guest{dir: folder(t), answers: make(chan string, 1)}
	makeRoot(t, filepath.Join(g.dir, "root"))
	for n := range guestPorts {
		g.ports = append(g.ports, openPort(t, n))
	}
	in, orders := pipe(t)
	said, out := pipe(t)
	g.orders = orders
	cmd := command(t, "linux.uml", g.arguments()...)
	cmd.ExtraFiles = []*os.File{in, out} // its descriptors 3 and 4
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "TMPDIR=" + g.dir}
	if needsXState() {
		cmd.Env = append(cmd.Env, "LD_PRELOAD="+buildXState(t, g.dir))
	}
	var listening sync.WaitGroup
	t.Cleanup(listening.Wait) // said ends when all that have out open have ended
	g.process = start(t, cmd, filepath.Join(g.dir, "log"))
	if err := errors.Join(in.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
	listening.Go(func() { g.listen(said) })
	listening.Go(g.nudge)
	if _, err := g.answer(); err != nil {
		t.Fatal(err)
	}
	return g
}

// arguments are the kernel's. Console 0 is for its own words, console 1 for orders.
func (g *Guest) arguments() []string {
	args := []string{
		"umid=guest", "uml_dir=" + g.dir, "mem=64M", "quiet",
		"rootfstype=hostfs", "root=none", "rootflags=" + filepath.Join(g.dir, "root"), "ro", "init=/init",
		"con=null", "con0=null,fd:1", "con1=fd:3,fd:4", "ssl=null",
	}
	for _, p := range g.ports {
		args = append(args, fmt.Sprintf("ssl%d=tty:%s", p.number, p.tty.Name()))
	}
	return args
}

// Counters returns the counters of the guest's TCP since it was booted, by their names
// in /proc/net/snmp and /proc/net/netstat, RetransSegs for instance. They come by
// another way than the serial lines, and cost nothing there.
func (g *Guest) Counters(t testing.TB) map[string]int64 {
	t.Helper()
	text, err := g.order("counters")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]int64)
	for _, field := range strings.Fields(text) {
		name, value, _ := strings.Cut(field, "=")
		if all[name], err = strconv.ParseInt(value, 10, 64); err != nil {
			t.Fatalf("the guest's counters: %v", err)
		}
	}
	return all
}

// order has the guest do something and returns its answer.
func (g *Guest) order(words ...string) (string, error) {
	g.ordering.Lock()
	defer g.ordering.Unlock()
	if _, err := fmt.Fprintln(g.orders, strings.Join(words, " ")); err != nil {
		return "", fmt.Errorf("the guest takes no orders: %w", err)
	}
	return g.answer()
}

func (g *Guest) answer() (string, error) {
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case answer := <-g.answers:
		if text, ok := strings.CutPrefix(answer, "ok "); ok {
			return text, nil
		}
		return "", errors.New("the guest answers: " + answer)
	case <-g.process.done:
		return "", fmt.Errorf("the guest has ended: %w", cmp.Or(g.process.err, errors.New("by itself")))
	case <-timeout.C:
		return "", fmt.Errorf("the guest: %w", context.DeadlineExceeded)
	}
}

// nudge keeps the guest awake. User-mode Linux sleeps until a signal tells that
// something has come in, and now and then misses one; it looks at all its
// descriptors when the next comes. An empty line is no order.
func (g *Guest) nudge() {
	tick := time.NewTicker(nudgeInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = g.orders.WriteString("\n") // fails once the guest has ended
		case <-g.process.done:
			return
		}
	}
}

// listen takes what the guest says until it ends.
func (g *Guest) listen(said *os.File) {
	for lines := bufio.NewScanner(said); lines.Scan(); {
		kind, text, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "ok", "error":
			select {
			case g.answers <- lines.Text():
			default: // nobody asked
			}
			continue
		case "log":
		default: // the echo of a terminal that isn't set up yet
			continue
		}
		number, text, _ := strings.Cut(text, " ")
		if n, err := strconv.Atoi(number); err == nil && n < len(g.ports) {
			g.mu.Lock()
			g.ports[n].log.WriteString(text + "\n")
			g.mu.Unlock()
		}
	}
}

// port is one that no call has had.
func (g *Guest) port(t testing.TB) *serialPort {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free == len(g.ports) {
		t.Fatalf("more than %d calls: start another guest", guestPorts)
	}
	g.free++
	return g.ports[g.free-1]
}

func openPort(t testing.TB, number int) *serialPort {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	if master, err = pollable(master); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	// No line discipline: every octet of a frame must come through as it is.
	if _, err := term.MakeRaw(int(tty.Fd())); err != nil { //nolint:gosec // a descriptor fits
		t.Fatal(err)
	}
	return &serialPort{number: number, master: master, tty: tty}
}

// pipe is closed, both ends, when the test has ended.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.Close()
		_ = w.Close()
	})
	return r, w
}
