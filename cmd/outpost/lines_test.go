package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"outpost/internal/isp"
	"outpost/modem/modemtest"
	"outpost/queue"
)

// needShell ends a test whose commands are of a Unix shell.
func needShell(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skipf("%s was NOT run: its commands are of a Unix shell", t.Name())
	}
}

// vsatFirst puts a line of kind net before the landline.
func vsatFirst(up, down string) []string {
	return []string{"[[line]]\nname = \"landline\"", fmt.Sprintf(`[[line]]
name = "vsat"
kind = "net"
up_command = ["/bin/sh", "-c", %q]
down_command = ["/bin/sh", "-c", %q]
[[line]]
name = "landline"`, up, down)}
}

// The call goes over the second line, and its report says why.
func TestNextLineSaysWhy(t *testing.T) {
	needShell(t)
	t.Parallel()
	provider, out := mail()
	r := newRig(t, provider, modemtest.Options{})
	r.open(r.configuration(isp.TLSNone, vsatFirst("echo no satellite in sight; exit 3", "true")...))
	r.submit(out[0], "x@far.example")
	row, err := r.call()
	if err != nil || row.Line != "landline" || row.Sent != 1 || !row.OnHook {
		t.Fatalf("%+v, %v", row, err)
	}
	var shown strings.Builder
	printCall(&shown, row)
	if want := "problem: line vsat was tried first: line vsat: dialling: "; !strings.Contains(shown.String(), want) ||
		!strings.Contains(shown.String(), `exit status 3 ("no satellite in sight")`) {
		t.Errorf("no %q in:\n%s", want, shown.String())
	}
	calls, err := r.office.queue.Calls(2)
	if err != nil || len(calls) != 2 || !strings.Contains(calls[1].Transcript, "< no satellite in sight") || !calls[1].OnHook {
		t.Errorf("%+v, %v", calls, err)
	}
}

// A network that an earlier process brought up and didn't take down is taken down
// at the start, again and again until that succeeds; one that it didn't, is let
// be.
func TestNetLineIsTakenDownAtTheStart(t *testing.T) {
	needShell(t)
	t.Parallel()
	provider, _ := mail()
	r := newRig(t, provider, modemtest.Options{})
	ran, ready := filepath.Join(r.dir, "ran"), filepath.Join(r.dir, "ready")
	text := r.configuration(isp.TLSNone, vsatFirst("true", fmt.Sprintf("echo down >>%s; test -e %s", ran, ready))...)
	r.open(text)
	r.lineChecked()
	if _, err := os.Stat(ran); err == nil {
		t.Error("down_command was run though no call was open")
	}
	row, err := r.office.queue.BeginCall(t.Context(), queue.Call{Line: "vsat", Begun: time.Now(), Connected: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	r.close()
	r.open(text)
	r.until("the line is known to be open", func() bool { return r.office.dispatch.Status().Line != "" })
	if _, err := os.Stat(ran); err != nil {
		t.Errorf("down_command wasn't run: %v", err)
	}
	if err := r.office.reset(t.Context()); err == nil || !strings.Contains(err.Error(), "line vsat is not confirmed to be down") {
		t.Errorf("the line counts as down: %v", err)
	}
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.office.reset(t.Context()); err != nil {
		t.Error(err)
	}
	if calls, err := r.office.queue.Calls(1); err != nil || calls[0].ID != row.ID || calls[0].Ended.IsZero() || !calls[0].OnHook {
		t.Errorf("%+v, %v", calls, err)
	}
}
