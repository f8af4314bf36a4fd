package imapd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const letterText = "From: Joe <joe@far.example>\r\nTo: ann@office.example\r\nSubject: hello\r\n\r\nHi Ann\r\n"

// A new user finds the folders that mail programs look for.
func TestNewUser(t *testing.T) {
	r := newRig(t, nil)
	c := r.login("ann")
	c.want(`LIST "" "%" RETURN (SPECIAL-USE SUBSCRIBED)`, "OK",
		`LIST (\Subscribed \HasNoChildren \Archive) "/" "Archive"`, `LIST (\Subscribed \HasNoChildren \Drafts) "/" "Drafts"`,
		`LIST (\HasNoChildren) "/" INBOX`, `LIST (\Subscribed \HasNoChildren \Junk) "/" "Junk"`,
		`LIST (\Subscribed \HasNoChildren \Sent) "/" "Sent"`, `LIST (\Noselect \HasChildren) "/" "Shared"`,
		`LIST (\Subscribed \HasNoChildren \Trash) "/" "Trash"`)
	c.want(`LIST "" ""`, "OK", `LIST (\Noselect) "/" ""`)
	c.want(`LIST (SPECIAL-USE) "" "*" RETURN (STATUS (MESSAGES))`, "OK",
		`LIST (\HasNoChildren \Archive) "/" "Archive"`, `STATUS "Archive" (MESSAGES 0)`, `LIST (\HasNoChildren \Drafts) "/" "Drafts"`, `STATUS "Drafts" (MESSAGES 0)`,
		`LIST (\HasNoChildren \Junk) "/" "Junk"`, `STATUS "Junk" (MESSAGES 0)`, `LIST (\HasNoChildren \Sent) "/" "Sent"`, `STATUS "Sent" (MESSAGES 0)`,
		`LIST (\HasNoChildren \Trash) "/" "Trash"`, `STATUS "Trash" (MESSAGES 0)`)
	if got := c.ok("CAPABILITY")[0]; strings.Contains(got, "LITERAL-") && strings.Contains(got, "LITERAL+") {
		t.Errorf("both are offered, which RFC 7888 §4 forbids: %s", got)
	}
	c.ok("CREATE Entw&APw-rfe/2026/")
	c.ok("CREATE \"R &- D\"")
	c.want(`LIST "" "Entw&APw-rfe*"`, "OK", `LIST (\Noselect \HasChildren) "/" "Entw&APw-rfe"`, `LIST (\HasNoChildren) "/" "Entw&APw-rfe/2026"`)
	for _, bad := range []string{"a.b", "~x", "inbox", `"a//b"`, `"/a"`, "Trash", `"..\\x"`} {
		if _, end := c.do("CREATE " + bad); !strings.HasPrefix(end, "NO ") {
			t.Errorf("CREATE %s: %s", bad, end)
		}
	}
}

// Sequence numbers are each client's own, and stay while the protocol says so.
func TestNumbersStay(t *testing.T) {
	r := newRig(t, nil)
	for range 6 {
		r.deliver("ann", "", letterText)
	}
	a, b := r.login("ann"), r.login("ann")
	a.ok("SELECT INBOX")
	b.ok("SELECT INBOX")
	a.ok(`STORE 2,4 +FLAGS.SILENT (\Deleted)`)
	a.want("EXPUNGE", "OK", "2 EXPUNGE", "3 EXPUNGE")
	// b hears of the flags, which were there once, not of removals: the numbers must not change in FETCH.
	b.want("FETCH 6 UID", "OK", "6 FETCH (UID 6)")
	b.want("FETCH 4:5 UID", "NO [EXPUNGEISSUED]", "5 FETCH (UID 5)")
	b.want("SEARCH ALL", "OK", "SEARCH 1 3 5 6")
	r.deliver("ann", "", letterText)
	b.want(`STORE 6 +FLAGS (\Seen)`, "OK", `6 FETCH (FLAGS (\Seen))`, "7 EXISTS")
	b.want("FETCH 7 UID", "OK", "7 FETCH (UID 7)")
	b.want("NOOP", "OK", "2 EXPUNGE", "3 EXPUNGE")
	b.want("FETCH 4:* UID", "OK", "4 FETCH (UID 6)", "5 FETCH (UID 7)")
	a.want("NOOP", "OK", `4 FETCH (UID 6 FLAGS (\Seen))`, "5 EXISTS")
	a.want("UID FETCH 2:4,5,99 FLAGS", "OK", "2 FETCH (UID 3 FLAGS ())", "3 FETCH (UID 5 FLAGS ())")
	a.want("UID FETCH 100:* UID", "OK", "5 FETCH (UID 7)")
	a.want("UID SEARCH RETURN (SAVE COUNT MIN MAX) UNSEEN", "OK", `ESEARCH (TAG "t8") UID MIN 1 MAX 7 COUNT 4`)
	a.want("UID FETCH $ FLAGS", "OK", "1 FETCH (UID 1 FLAGS ())", "2 FETCH (UID 3 FLAGS ())", "3 FETCH (UID 5 FLAGS ())", "5 FETCH (UID 7 FLAGS ())")
}

// All 26 letters can be used up; then there is a clear refusal.
func TestKeywords(t *testing.T) {
	r := newRig(t, nil)
	r.deliver("ann", "", letterText)
	c := r.login("ann")
	c.ok("SELECT INBOX")
	for i := range 26 {
		c.ok(fmt.Sprintf("STORE 1 +FLAGS.SILENT (word%d)", i))
	}
	c.want("STORE 1 +FLAGS (one-too-many)", "NO [LIMIT]")
	c.want("STORE 1 FLAGS (WORD7)", "OK", "1 FETCH (FLAGS (word7))")
	c.want("SEARCH KEYWORD Word7 UNKEYWORD word8 UNKEYWORD nothing", "OK", "SEARCH 1")
}

// CLOSE removes what is \Deleted, UNSELECT and EXAMINE don't.
func TestClose(t *testing.T) {
	r := newRig(t, nil)
	r.deliver("ann", "", letterText)
	r.deliver("ann", "", letterText)
	c := r.login("ann")
	c.ok("SELECT INBOX")
	c.ok(`STORE 1 +FLAGS (\Deleted)`)
	c.ok("UNSELECT")
	c.ok("EXAMINE INBOX")
	c.ok("CLOSE")
	c.want("STATUS INBOX (MESSAGES DELETED)", "OK", "STATUS INBOX (MESSAGES 2 DELETED 1)")
	c.ok("SELECT INBOX")
	c.want("UID EXPUNGE 2", "OK")
	c.want("CLOSE", "OK")
	c.want("STATUS INBOX (MESSAGES UIDNEXT)", "OK", "STATUS INBOX (MESSAGES 1 UIDNEXT 3)")
	c.ok("RENAME INBOX Old")
	c.want("STATUS INBOX (MESSAGES)", "OK", "STATUS INBOX (MESSAGES 0)")
	c.want("STATUS Old (MESSAGES)", "OK", "STATUS \"Old\" (MESSAGES 1)")
	if end := c.append("None", "()", letterText); !strings.HasPrefix(end, "NO [TRYCREATE]") {
		t.Error(end)
	}
}

// What SELECT and reading all flags cost in a folder of 100,000 messages, as a mail
// program sees it: the first time, and when the folder is open already.
func BenchmarkSelect100k(b *testing.B) {
	r := newRig(b, nil)
	c := r.login("ann")
	root := r.dir("ann").Root
	for i := range 100_000 {
		name := fmt.Sprintf("%d.%026d.gate.office.example,S=1234,W=1267:2,S", 1_700_000_000+i, i)
		if err := os.WriteFile(filepath.Join(root, "cur", name), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	begun := time.Now()
	c.ok("SELECT INBOX")
	b.Logf("the very first SELECT, which gives all UIDs: %v", time.Since(begun))
	c.ok("UNSELECT")
	c.ok("LOGOUT")
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			r.stop()
			r.start()
			c = r.login("ann")
			b.StartTimer()
			c.ok("SELECT INBOX")
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			c.ok("SELECT INBOX")
		}
	})
	b.Run("flags", func(b *testing.B) {
		for b.Loop() {
			if got := c.ok("UID FETCH 1:* FLAGS"); len(got) != 100_000 {
				b.Fatal(len(got))
			}
		}
	})
	b.Run("store-one", func(b *testing.B) {
		for b.Loop() {
			c.ok(`UID STORE 50000 +FLAGS (\Flagged)`)
			c.ok(`UID STORE 50000 -FLAGS (\Flagged)`)
		}
	})
}

// A folder that a rule made before its owner ever looked is among those that his mail program shows.
func TestFoldersBeforeTheFirstLogin(t *testing.T) {
	r := newRig(t, nil)
	r.deliver("ann", "Reports/Week", "Subject: x\n\nx\n")
	ann := r.login("ann")
	ann.want(`LSUB "" "Reports*"`, "OK", `LSUB (\Subscribed \HasNoChildren) "/" "Reports/Week"`)
	ann.want(`LSUB "" "Sent"`, "OK", `LSUB (\Subscribed \HasNoChildren \Sent) "/" "Sent"`)
}
