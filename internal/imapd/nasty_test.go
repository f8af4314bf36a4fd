package imapd

import (
	"fmt"
	"strings"
	"testing"
)

// What no client should send gets an answer, and harms nobody.
func TestNastyCommands(t *testing.T) {
	r := newRig(t, nil)
	r.deliver("ann", "", letterText)
	r.deliver("ann", "", "Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing in it\r\n")
	r.deliver("ann", "", "")
	c := r.login("ann")
	for _, command := range []string{
		"FETCH 1 FLAGS", "CLOSE", "IDLE x", "SELECT", `SELECT ""`, "SELECT &", "SELECT \"\\\\\"", "STATUS INBOX (NONE)", "COPY 1 INBOX", "EXPUNGE",
		"LOGIN ann nna", "STARTTLS", "XYZZY", "UID XYZZY",
	} {
		if _, end := c.do(command); !strings.HasPrefix(end, "BAD") && !strings.HasPrefix(end, "NO") {
			t.Errorf("%s: %s", command, end)
		}
	}
	c.ok("SELECT INBOX")
	for command, want := range map[string]string{
		"FETCH 1:3 (BODYSTRUCTURE ENVELOPE BODY RFC822.SIZE)":                   "OK",
		"FETCH 1:3 (BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2.1.3])":           "OK",
		"FETCH 1 BODY.PEEK[4294967295.4294967295]":                              "OK",
		"FETCH 1 BODY.PEEK[99999999999]":                                        "",
		"FETCH 1 BODY.PEEK[]<9223372036854775807.9223372036854775807>":          "OK",
		"FETCH 1 BODY.PEEK[]<0.0>":                                              "OK",
		"FETCH 1 BODY.PEEK[HEADER.FIELDS ()]":                                   "",
		"FETCH 1 BINARY[1]":                                                     "BAD",
		"FETCH 4294967295:1 UID":                                                "OK",
		"UID FETCH 4294967295:* UID":                                            "OK",
		"UID FETCH 1:4294967295 UID":                                            "OK",
		"FETCH 0 UID":                                                           "",
		"FETCH $ UID":                                                           "OK",
		"STORE 1 FLAGS (\\Recent \\Nonsense)":                                   "OK",
		"STORE 1 +FLAGS (" + strings.Repeat("k", 200) + ")":                     "NO",
		"STORE 1 +ANNOTATION (x)":                                               "BAD",
		"COPY 99 Trash":                                                         "OK",
		"MOVE 99 Trash":                                                         "OK",
		"SEARCH " + strings.Repeat("NOT ", 5000) + "ALL":                        "OK",
		"SEARCH " + strings.Repeat("(", 900) + "ALL" + strings.Repeat(")", 900): "",
		"SEARCH HEADER \"\" \"\"":                                               "OK",
		"SEARCH TEXT \"" + strings.Repeat("a", 3000) + "\"":                     "OK",
		"SEARCH CHARSET KOI8-R TEXT x":                                          "NO",
		"RENAME INBOX INBOX":                                                    "NO",
		"LIST \"\" \"" + strings.Repeat("*a", 2000) + "\"":                      "OK",
	} {
		_, end := c.do(command)
		if !strings.HasPrefix(end, want) {
			t.Errorf("%.60s: %s, want %s", command, end, want)
		}
	}
	c.ok("NOOP")
	// Lines without end, literals that never come, and endings in the middle.
	for _, text := range []string{
		strings.Repeat("a", 200_000), "a SELECT {4000}\r\n", "a SELECT {99999999999}\r\n", "a APPEND INBOX {100}\r\nshort", "a IDLE\r\nXYZ\r\n", "\r\n\r\n", "a\r\n",
		"a FETCH 1 (BODY.PEEK[]", "a UID FETCH 1:* (FLAGS)\r\nb UID FETCH 1:* BODY[]\r\n",
	} {
		x := r.login("ann")
		x.ok("SELECT INBOX")
		_, _ = fmt.Fprint(x.conn, text)
		_ = x.conn.Close()
	}
	if got := c.ok("STATUS INBOX (MESSAGES)"); got[0] != "STATUS INBOX (MESSAGES 3)" {
		t.Errorf("half a message was kept: %q", got)
	}
	if got := r.files("ann", ""); len(got) != 3 {
		t.Errorf("%q", got)
	}
}
