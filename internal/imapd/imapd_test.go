package imapd

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

const letterText = "From: Joe <joe@far.example>\r\nTo: ann@office.example\r\nSubject: hello\r\n\r\nHi Ann\r\n"

func TestSmoke(t *testing.T) {
	r := newRig(t, nil)
	r.deliver("ann", "", letterText)
	c := r.login("ann")
	t.Log(c.ok("CAPABILITY"))
	t.Log(c.ok(`LIST "" "*"`))
	t.Log(c.ok("SELECT INBOX"))
	t.Log(c.do("FETCH 1 (FLAGS UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY[])"))
	t.Log(c.append("INBOX", `(\Flagged foo)`, letterText))
	t.Log(c.do("FETCH 1:* (FLAGS UID BODY.PEEK[HEADER.FIELDS (Subject)] BODY.PEEK[1])"))
	t.Log(c.do(`STORE 1 +FLAGS (\Deleted)`))
	t.Log(c.do(`COPY 1:2 Archive`))
	t.Log(c.do(`EXPUNGE`))
	t.Log(c.do(`UID MOVE 2 Trash`))
	t.Log(c.do(`UID SEARCH TEXT hello`))
	t.Log(c.do(`STATUS Archive (MESSAGES UNSEEN UIDNEXT SIZE)`))
	_ = fmt.Sprint
	_ = regexp.MustCompile
	_ = strings.Join
}
