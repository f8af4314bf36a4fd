package imapd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// New mail shows within a second of its delivery, to all who look, however they look.
func TestIdle(t *testing.T) {
	r := newRig(t, nil)
	r.deliver("ann", "", letterText)
	var all []*client
	for range 5 {
		c := r.login("ann")
		c.ok("SELECT INBOX")
		c.send("i IDLE\r\n")
		if got := c.line(); !strings.HasPrefix(got, "+") {
			t.Fatal(got)
		}
		all = append(all, c)
	}
	polite := r.login("ann")
	polite.ok("SELECT INBOX")
	for n := 2; n < 12; n++ {
		begun := time.Now()
		r.deliver("ann", "", letterText)
		for _, c := range all {
			if got := c.line(); got != fmt.Sprintf("* %d EXISTS", n) {
				t.Fatal(got)
			}
		}
		took := time.Since(begun)
		t.Logf("message %d shown to five clients after %v", n, took.Round(10*time.Microsecond))
		if took > time.Second {
			t.Errorf("it took %v", took)
		}
		polite.want("NOOP", "OK", fmt.Sprintf("%d EXISTS", n))
	}
	// And what others do to it.
	all[0].send("DONE\r\n")
	all[0].answer("i")
	all[0].ok(`STORE 2 +FLAGS (\Deleted)`)
	all[0].want("EXPUNGE", "OK", "2 EXPUNGE")
	for _, c := range all[1:] {
		got := c.line()
		if got == `* 2 FETCH (UID 2 FLAGS (\Deleted))` { // unless both changes came at once
			got = c.line()
		}
		if got != `* 2 EXPUNGE` {
			t.Error(got)
		}
		c.send("DONE\r\n")
		if got, end := c.answer("i"); len(got) > 0 || !strings.HasPrefix(end, "OK") {
			t.Error(got, end)
		}
	}
	polite.want("NOOP", "OK", "2 EXPUNGE")
}

// What another program does to the files is seen while somebody idles.
func TestIdleOtherProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, true, nil)
		c := r.login("ann")
		c.ok("SELECT INBOX")
		c.send("i IDLE\r\n")
		c.line()
		root := r.dir("ann").Root
		begun := time.Now()
		step := func(want string, do error) {
			t.Helper()
			if do != nil {
				t.Fatal(do)
			}
			if got := c.line(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if took := time.Since(begun); took > 2*idleLook {
				t.Errorf("%s took %v", want, took)
			}
			begun = time.Now()
		}
		step("* 1 EXISTS", os.WriteFile(filepath.Join(root, "new", "1.a.mda"), []byte("Subject: x\n\n"), 0o600))
		base := filepath.Join(root, "cur", "1.a.mda:2,")
		step(`* 1 FETCH (UID 1 FLAGS (\Flagged))`, os.Rename(base, base+"F"))
		step("* 1 EXPUNGE", os.Remove(base+"F"))
		c.send("DONE\r\n")
		c.answer("i")
	})
}

// A mailbox that is removed, renamed or replaced under somebody ends his connection.
func TestMailboxGone(t *testing.T) {
	r := newRig(t, nil)
	for name, command := range map[string]string{"A": "DELETE A", "B": "RENAME B B2"} {
		c, other := r.login("ann"), r.login("ann")
		c.ok("CREATE " + name)
		c.ok("SELECT " + name)
		c.send("i IDLE\r\n")
		c.line()
		other.ok(command)
		if got := c.line(); got != "* BYE The mailbox was removed, renamed or replaced" {
			t.Error(command, got)
		}
	}
}

// Who gives a command in a mailbox that is gone gets an answer, then BYE.
func TestMailboxGoneInCommand(t *testing.T) {
	r := newRig(t, nil)
	c, other := r.login("ann"), r.login("ann")
	c.ok("CREATE A")
	c.ok("SELECT A")
	other.ok("DELETE A")
	other.ok("CREATE A")
	if got, end := c.do("NOOP"); len(got) > 0 || !strings.HasPrefix(end, "OK") {
		t.Error(got, end)
	}
	if got := c.line(); got != "* BYE The mailbox was removed, renamed or replaced" {
		t.Error(got)
	}
	other.ok("SELECT A")
}
