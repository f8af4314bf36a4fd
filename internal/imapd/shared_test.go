package imapd

import (
	"strings"
	"testing"
)

// Who may only read a shared folder is told so, and can't change anything.
func TestSharedFolder(t *testing.T) {
	r := newRig(t, nil)
	r.deliver("news", "", letterText)
	ann, bob := r.login("ann"), r.login("bob")
	ann.want("NAMESPACE", "OK", `NAMESPACE (("" "/")) NIL (("Shared/" "/"))`)
	ann.ok("CREATE Shared/news/2026")
	bob.want(`LIST "" "Shared/*"`, "OK", `LIST (\HasChildren) "/" "Shared/news"`, `LIST (\HasNoChildren) "/" "Shared/news/2026"`)
	if got, end := bob.do("SELECT Shared/news"); end != "OK [READ-ONLY] SELECT completed" || strings.Contains(strings.Join(got, "|"), `\*`) {
		t.Error(got, end)
	}
	for _, command := range []string{
		`STORE 1 +FLAGS (\Seen)`, "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 INBOX", "COPY 1 Shared/news/2026", "CREATE Shared/news/x", "DELETE Shared/news/2026",
		"RENAME Shared/news/2026 Shared/news/x", "CREATE Shared/news", "DELETE Shared/news", "CREATE Shared/other", "CREATE Shared",
	} {
		if _, end := bob.do(command); !strings.HasPrefix(end, "NO ") {
			t.Errorf("%s: %s", command, end)
		}
	}
	if end := bob.append("Shared/news", "()", letterText); !strings.HasPrefix(end, "NO [NOPERM]") {
		t.Error(end)
	}
	bob.want("FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]", "OK", "1 FETCH (BODY[HEADER.FIELDS (\"SUBJECT\")] {18}\r\nSubject: hello\r\n\r\n)")
	bob.want("FETCH 1 FLAGS", "OK", "1 FETCH (FLAGS ())") // Not \Seen by that.
	if got := r.files("news", ""); len(got) != 1 || !strings.HasPrefix(got[0], "new/") {
		t.Errorf("somebody who may only read has moved mail: %q", got)
	}
	bob.want("CLOSE", "OK")
	// The writer's \Seen is everybody's.
	if _, end := ann.do("SELECT Shared/news"); end != "OK [READ-WRITE] SELECT completed" {
		t.Error(end)
	}
	ann.ok(`STORE 1 +FLAGS (\Seen)`)
	bob.ok("EXAMINE Shared/news")
	bob.want("FETCH 1 FLAGS", "OK", `1 FETCH (FLAGS (\Seen))`)
	bob.ok("COPY 1 INBOX")
	ann.ok("SUBSCRIBE Shared/news/2026")
	ann.want(`LSUB "" "Shared/%"`, "OK", `LSUB (\HasChildren) "/" "Shared/news"`)
	ann.want(`LIST (SUBSCRIBED) "" "Shared/*"`, "OK", `LIST (\Subscribed \HasNoChildren) "/" "Shared/news/2026"`)
	ann.want("RENAME Shared/news/2026 Mine", "NO [CANNOT]")
	ann.want("SELECT Shared/secret", "NO [NONEXISTENT]", "OK [CLOSED] Previous mailbox is now closed")
}

func TestQuota(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Quota = func(name string) int64 {
			if name == "ann" {
				return 1000
			}
			return 0
		}
		o.MaxBytes = 3000
	})
	c := r.login("ann")
	text := "Subject: x\r\n\r\n" + strings.Repeat("y", 580) + "\r\n"
	if end := c.append("Sent", "()", text); !strings.HasPrefix(end, "OK") {
		t.Fatal(end)
	}
	if end := c.append("INBOX", "()", text); !strings.HasPrefix(end, "NO [OVERQUOTA]") {
		t.Error(end)
	}
	c.ok("SELECT Sent")
	c.want("COPY 1 Archive", "NO [OVERQUOTA]")
	c.ok("MOVE 1 Archive")
	c.ok("SELECT Archive")
	c.ok("COPY 1 Shared/news")
	// Larger than the library takes: what follows must not be read as commands.
	c.n++
	c.send("big APPEND INBOX {5000+}\r\nx CREATE Stolen\r\n" + strings.Repeat("x CREATE Stolen\r\n", 300))
	for {
		line := c.line()
		if strings.HasPrefix(line, "* BYE") {
			break
		}
		if strings.HasPrefix(line, "x OK") {
			t.Fatal("the message was obeyed")
		}
	}
	if got, _ := r.dir("ann").Folders(); strings.Contains(strings.Join(got, " "), "Stolen") {
		t.Fatal("the message was obeyed")
	}
}
