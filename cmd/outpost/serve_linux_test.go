package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"outpost/internal/isp"
	"outpost/modem/modemtest"
)

// idleLimit is the memory that an idle daemon may have resident.
const idleLimit = 40 << 20

// The real program as a user runs it: serve in one process, the commands in
// others, a serial port between it and the modem.
func TestServe(t *testing.T) {
	provider, out := mail()
	provider.TLS = isp.TLSImplicit
	r := newRig(t, provider, modemtest.Options{NoStatusBits: true})
	port, err := r.modem.PTY()
	if err != nil {
		t.Fatal(err)
	}
	k := newKilled(t)
	// With XON/XOFF the kernel takes these characters out of what comes: TLS has them in
	// every few hundred octets, unless PPP has them escaped both ways.
	text := r.configuration(isp.TLSImplicit, `"simulated"`, strconv.Quote(port)+"\nflow_control = \"xonxoff\"", `"smtp-port"`, strconv.Quote(k.address),
		`"ca.pem"`, strconv.Quote(filepath.Join(r.dir, "ca.pem")))
	if err := os.WriteFile(k.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bin := build(t)
	serve := exec.Command(bin, "serve", "--config", k.path)
	k.stderr = new(bytes.Buffer)
	serve.Stderr = k.stderr
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- serve.Wait() }()
	defer serve.Process.Kill() //nolint:errcheck // it has ended by then

	outpost := func(args ...string) string {
		t.Helper()
		text, err := exec.CommandContext(t.Context(), bin, append(args, "--config", k.path)...).CombinedOutput()
		if err != nil {
			t.Errorf("outpost %s: %v\n%s\nthe daemon:\n%s", strings.Join(args, " "), err, text, k.stderr)
		}
		return string(text)
	}
	k.await("the line is checked", func(ctx context.Context) bool {
		text, err := exec.CommandContext(ctx, bin, "status", "--config", k.path).Output()
		return err == nil && bytes.Contains(text, []byte("state:      idle"))
	})
	for i, m := range out {
		if err := handIn(t.Context(), k.address, letter{from: "ann@clinic.example", to: []string{fmt.Sprintf("x%d@far.example", i)}, text: m}); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, outpost("status"), `outgoing:   3 messages wait`, `next call:  when asked for`)
	expect(t, outpost("queue"), `<ann@clinic.example>\s+x1@far.example\s+waiting`)
	if rss := residentSet(t, serve.Process.Pid); rss > idleLimit {
		t.Errorf("idle, the daemon has %d octets resident", rss)
	} else {
		t.Logf("idle, the daemon has %.1f MiB resident", float64(rss)/(1<<20))
	}
	expect(t, outpost("connect", "--reason", "results"), `phase +exchanging`, `sent +to x2@far.example`, `box +ann: 2 listed, 2 collected, 2 deleted`,
		`3 messages sent`, `the modem confirmed on-hook`, `\(results\)`)
	expect(t, outpost("queue"), `the queue is empty`)
	expect(t, outpost("calls"), `Call 1 on line landline to 5551234`, `line up`)
	for i, m := range out {
		if n := copies(r.received(), m); n != 1 {
			t.Errorf("letter %d reached the smarthost %d times", i, n)
		}
	}
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-exited; err != nil {
		t.Errorf("serve ended with %v:\n%s", err, k.stderr)
	}
	if strings.Contains(k.stderr.String(), demoPassword) {
		t.Error("the log holds a password")
	}
}

// build makes the program as `make build` does, without the race detector, whose
// memory is not a user's.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "outpost")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return bin
}

func expect(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			t.Errorf("nothing like %q in:\n%s", p, text)
		}
	}
}

// residentSet reads VmRSS of a process, in octets.
func residentSet(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no VmRSS in %s", text)
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// Two daemons on one folder would both promise to keep mail: the second ends at
// once and says why.
func TestSecondDaemonIsRefused(t *testing.T) {
	k := newKilled(t)
	k.start(0)
	text, err := exec.CommandContext(t.Context(), build(t), "serve", "--config", k.path).CombinedOutput()
	if err == nil || !bytes.Contains(text, []byte("hint: is outpost serve running already?")) {
		t.Errorf("%v: %s", err, text)
	}
	if c, err := net.Dial("tcp", k.address); err != nil {
		t.Errorf("the first daemon is gone: %v", err)
	} else {
		_ = c.Close()
	}
}
