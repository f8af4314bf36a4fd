package smtpd

import (
	"context"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"outpost/queue"
)

// The parameters of RFC 3461 come into the envelope decoded.
func TestDSN(t *testing.T) {
	o := open(t, nil)
	c := o.dial()
	c.play(hello + `> MAIL FROM:<ann@office.example> ret=hdrs ENVID=QQ+2B1+20x SMTPUTF8
		< 250
		> RCPT TO:<bob@office.example> NOTIFY=success,FAILURE ORCPT=RFC822;robert+2Bx@Far.example
		< 250
		> RCPT TO:<c@far.example> ORCPT=utf-8;j\x{FC}rgen@far.example
		< 250
		> RCPT TO:<d@far.example> NOTIFY=NEVER
		< 250
		> RCPT TO:<e@far.example>
		< 250
		> RCPT TO:<änn@office.example>
		< 250
		> DATA
		< 354`)
	c.raw(letter + ".\r\n")
	c.want("250")
	m := o.only()
	if m.EnvID != "QQ+1 x" || m.Return != "HDRS" {
		t.Errorf("%q, %q", m.EnvID, m.Return)
	}
	for i, want := range []queue.Recipient{
		{Notify: "SUCCESS,FAILURE", Original: "rfc822;robert+x@Far.example"},
		{Original: "utf-8;jürgen@far.example"},
		{Notify: "NEVER"},
		{},
		{Original: "utf-8;änn@office.example"},
	} {
		if got := m.To[i]; got.Notify != want.Notify || got.Original != want.Original || got.State != queue.Waiting {
			t.Errorf("%d: %+v, want %+v", i, got, want)
		}
	}
	// The next message has nothing of it.
	c.play("> MAIL FROM:<ann@office.example>\n< 250\n> RCPT TO:<e@far.example>\n< 250\n> DATA\n< 354")
	c.raw(letter + ".\r\n")
	c.want("250")
	if m := o.messages()[1]; m.EnvID != "" || m.Return != "" || m.To[0].Notify != "" || m.To[0].Original != "" {
		t.Errorf("%+v", m)
	}
}

func TestBadDSN(t *testing.T) {
	open(t, nil).dial().play(hello + strings.ReplaceAll(`> MAIL FROM:<> RET=SOME
		< 501
		> MAIL FROM:<> ENVID=LONG
		< 501 5.5.4 ENVID is longer than 100
		> MAIL FROM:<> ENVID=+0D+0A
		< 501
		> MAIL FROM:<a@x>
		< 250
		> RCPT TO:<b@x> NOTIFY=NEVER,DELAY
		< 501
		> RCPT TO:<b@x> NOTIFY=
		< 501
		> RCPT TO:<b@x> ORCPT=rfc822
		< 501
		> RCPT TO:<b@x> ORCPT=x400;b
		< 501
		> RCPT TO:<b@x> ORCPT=rfc822;b+0Ab
		< 501
		> RCPT TO:<b@x> ORCPT=utf-8;b\x{01}b
		< 501 5.5.4 ORCPT has characters
		> RCPT TO:<b@x> ORCPT=rfc822;LONGLONGLONGLONGLONG
		< 501 5.5.4 ORCPT is longer than 500
		> RCPT TO:<b@x> ORCPT=rfc822;LONGLONGLONGLONG
		< 250`, "LONG", strings.Repeat("x", 101)))
}

// A recipient who has failed already is kept for the report, unless the sender would get none.
func TestFailedRecipient(t *testing.T) {
	reason := "550 5.7.1 You may send\r\nto the office only"
	o := open(t, func(o *Options) {
		o.Resolve = func(ctx context.Context, s Sender, rcpt string) ([]queue.Recipient, error) {
			found, err := resolve(ctx, s, rcpt)
			for i := range found {
				if found[i].Where == queue.Remote || strings.HasPrefix(rcpt, "all") && i == 1 {
					found[i].State, found[i].Reply = queue.Failed, reason
				}
			}
			if strings.HasPrefix(rcpt, "list") {
				found[0].Notify, found[0].Original = "NEVER", "rfc822;own@office.example"
			}
			return found, err
		}
	})
	c := o.dial()
	c.play(hello + `> MAIL FROM:<>
		< 250
		> RCPT TO:<c@far.example>
		< 550 5.7.1 You may send to the office only
		> RSET
		< 250
		> MAIL FROM:<ann@office.example>
		< 250
		> RCPT TO:<c@far.example> NOTIFY=NEVER
		< 550 5.7.1 You may send to the office only
		> RCPT TO:<all@office.example> NOTIFY=SUCCESS,DELAY
		< 550
		> RCPT TO:<c@far.example>
		< 250
		> RCPT TO:<d@far.example> NOTIFY=DELAY,FAILURE
		< 250
		> RCPT TO:<ann@office.example> NOTIFY=NEVER
		< 250
		> RCPT TO:<ANN@office.example> NOTIFY=NEVER
		< 250
		> RCPT TO:<all@office.example>
		< 250
		> RCPT TO:<list@office.example> NOTIFY=FAILURE
		< 250
		> DATA
		< 354`)
	c.raw(letter + ".\r\n")
	c.want("250")
	m := o.only()
	var got []string
	for _, r := range m.To {
		got = append(got, r.Addr+" "+string(r.State)+" "+r.Notify)
		if (r.State == queue.Failed) != (r.Reply == reason) {
			t.Errorf("%+v", r)
		}
	}
	// Ann is meant twice, and the second time to be told of.
	want := "c@far.example failed , d@far.example failed DELAY,FAILURE, ann waiting , ANN waiting NEVER, bob failed , list waiting NEVER"
	if strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if r := m.To[len(m.To)-1]; r.Original != "rfc822;own@office.example" {
		t.Errorf("%+v", r)
	}
}

func TestUntold(t *testing.T) {
	for reply, want := range map[string]smtp.SMTPError{
		"":                         {Code: 550, EnhancedCode: smtp.EnhancedCode{5, 0, 0}, Message: "It can't be delivered to this address"},
		"552 too big":              {Code: 550, EnhancedCode: smtp.EnhancedCode{5, 2, 2}, Message: "too big"},
		"450 4.2.0 and for good":   {Code: 550, EnhancedCode: smtp.EnhancedCode{5, 0, 0}, Message: "and for good"},
		"You are not allowed to":   {Code: 550, EnhancedCode: smtp.EnhancedCode{5, 0, 0}, Message: "You are not allowed to"},
		"5.3.4 the message is big": {Code: 550, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: "the message is big"},
	} {
		got := untold("", &queue.Recipient{State: queue.Failed, Reply: reply})
		if got == nil || *got != want {
			t.Errorf("%q: %+v, want %+v", reply, got, want)
		}
	}
}
