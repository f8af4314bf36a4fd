package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"outpost/internal/control"
	"outpost/internal/isp"
	"outpost/modem/modemtest"
)

// Only a number whose owner lives is a daemon's.
func TestPIDFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a lock cannot be asked after here")
	}
	socket := filepath.Join(t.TempDir(), "s")
	pid := func() int {
		t.Helper()
		pid, err := daemonPID(socket)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	if got := pid(); got != 0 {
		t.Errorf("without a file process %d", got)
	}
	if err := os.WriteFile(pidPath(socket), []byte("1\nleft behind\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := pid(); got != 0 {
		t.Errorf("from a file that was left behind process %d", got)
	}
	release, err := claimPID(socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := pid(); got != os.Getpid() {
		t.Errorf("process %d, not %d", got, os.Getpid())
	}
	if _, err := claimPID(socket); err == nil {
		t.Error("claimed twice")
	}
	release()
	if got := pid(); got != 0 {
		t.Errorf("after the end process %d", got)
	}
}

// What was seen before somebody asked is no proof for who asks.
func TestNoProofFromBefore(t *testing.T) {
	r := newRig(t, isp.Options{TLS: isp.TLSNone}, modemtest.Options{})
	r.open(r.configuration(isp.TLSNone))
	r.lineChecked()
	got, err := r.office.hangup(t.Context(), "test")
	if err != nil || len(got.Lines) != 1 || !got.Lines[0].Down || got.Lines[0].Proof != "OK to ATH, DCD down" {
		t.Errorf("%+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err = r.office.hangup(ctx, "test")
	if err == nil || len(got.Lines) != 1 || got.Lines[0].Down || !strings.Contains(got.Lines[0].Error, "not looked at") {
		t.Errorf("%+v, %v", got, err)
	}
	if allDown([]control.LineDown{{Down: true}, {}}) {
		t.Error("one line of two is not all")
	}
}
