package relay

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Message is one message with all its recipients.
type Message struct {
	// From is the envelope sender; "" is the null reverse-path (RFC 5321 §4.5.5).
	From string
	To   []string
	// Size is the number of octets that Body has; zero means unknown. A Body that ends before is taken for damaged and not sent.
	Size int64
	// EightBit and UTF8 are what the message needs: octets over 127 in the content, UTF-8 in its header (BODY=8BITMIME, SMTPUTF8).
	EightBit, UTF8 bool
	// Body, never nil, is the content, header and all, in lines, not dot-stuffed. It is read once, from another goroutine than the caller's, and
	// not any more once Send has returned.
	Body io.Reader
}

// Result is what became of one recipient.
type Result struct {
	To string
	// Err is nil if the server took the message for this recipient; else *Error.
	Err error
	// Reply is the server's last word on this recipient, or our reason where it said nothing.
	Reply string
	// Doubtful, always with a temporary Err: the server may have taken the message, but its answer didn't come.
	Doubtful bool
}

// Send sends one message. It returns one Result for each recipient in the order of m.To, and an error only if the connection can't be
// used any more; the Results are complete and true in that case too. A recipient's refusal doesn't touch the others.
// When ctx ends the connection is closed at once.
func (c *Client) Send(ctx context.Context, m Message) ([]Result, error) {
	t := &transaction{c: c, m: m, results: make([]Result, len(m.To)), settled: make([]bool, len(m.To))}
	for i, to := range m.To {
		t.results[i].To = to
	}
	end := c.begin(ctx)
	if t.screen(); len(t.open) > 0 {
		t.run()
	}
	end()
	if c.err != nil {
		return t.results, c.err
	}
	return t.results, nil
}

// transaction is one message under way.
type transaction struct {
	c       *Client
	m       Message
	results []Result
	// open are the recipients that are offered to the server, by their place in results.
	open []int
	// settled says of each recipient that its Result is final.
	settled []bool

	// What the server has said so far.
	taken   []int  // those of open that it accepted
	refusal *Error // of the message as a whole: MAIL, or DATA
	goAhead bool   // 354 to DATA
}

// run takes the transaction to its end and leaves nothing open.
func (t *transaction) run() {
	t.envelope()
	switch {
	case t.c.err != nil:
	case t.goAhead && len(t.taken) == 0:
		t.abandon()
	case t.goAhead:
		t.deliver()
	}
	// Who is not settled by now shares the fate of the message, or of the connection.
	if t.refusal == nil {
		t.refusal = t.c.err
	}
	for _, i := range t.open {
		if !t.settled[i] {
			t.fail(i, t.refusal)
		}
	}
}

// step is one command of the envelope.
type step struct {
	verb string
	line string
	rcpt int // for RCPT: the place in results
}

func (t *transaction) steps() []step {
	var steps []step
	if t.c.dirty {
		steps = append(steps, step{verb: "RSET", line: "RSET\r\n"})
	}
	steps = append(steps, step{verb: "MAIL", line: t.mail()})
	for _, i := range t.open {
		steps = append(steps, step{verb: "RCPT", line: "RCPT TO:<" + t.results[i].To + ">\r\n", rcpt: i})
	}
	return append(steps, step{verb: "DATA", line: "DATA\r\n"})
}

// envelope sends the envelope and hears what the server makes of it: as one group, of which DATA must be the last (RFC 2920 §3.1), or
// else command by command.
func (t *transaction) envelope() {
	steps := t.steps()
	if !t.c.ext.pipelining {
		for _, s := range steps {
			if t.c.err == nil && !t.idle(s) {
				f := launch(t.c.conn, []byte(s.line))
				t.hear(s)
				f.land()
			}
		}
		return
	}
	var group strings.Builder
	for _, s := range steps {
		group.WriteString(s.line)
	}
	f := launch(t.c.conn, []byte(group.String()))
	for _, s := range steps {
		if t.c.err == nil {
			t.hear(s)
		}
	}
	f.land()
}

// idle says that s isn't worth a round trip after what was heard.
func (t *transaction) idle(s step) bool {
	return t.refusal != nil || s.verb == "DATA" && len(t.taken) == 0
}

// hear reads the reply to s and draws the conclusion.
func (t *transaction) hear(s step) {
	rep, err := t.c.reply(s.verb)
	if err != nil {
		return
	}
	positive := 2
	if s.verb == "DATA" {
		positive = 3
	}
	if class := rep.class(); class < 4 && class != positive {
		t.c.fail(replyError(s.verb, rep))
		return
	}
	refused := rep.class() != positive
	switch {
	case s.verb == "MAIL" && refused:
		t.refusal = replyError(s.verb, rep)
	case s.verb == "MAIL":
		t.c.dirty = true
	case s.verb == "RCPT" && t.refusal != nil:
		// Only says that there was no MAIL.
	case s.verb == "RCPT" && refused:
		t.fail(s.rcpt, replyError(s.verb, rep))
	case s.verb == "RCPT":
		t.taken = append(t.taken, s.rcpt)
	case s.verb == "DATA" && !refused:
		t.goAhead = true
	case s.verb == "DATA" && t.refusal == nil:
		t.refusal = replyError(s.verb, rep)
	}
}

// abandon ends a transaction in which the server wants content though it has accepted nobody: a lone dot (RFC 2920 §3.1).
func (t *transaction) abandon() {
	if _, err := t.c.command("DATA", "."); err == nil {
		t.c.dirty = false
	}
}

// deliver sends the content. Only here can Results become Doubtful.
func (t *transaction) deliver() {
	c := t.c
	s := stream(c, t.m)
	rep, err := c.reply("content")
	s.land()
	c.line.SetPatience(c.opt.Timeout)
	switch {
	case err != nil:
		t.lost(s, err)
	case rep.class() >= 4:
		t.refusal = replyError("content", rep)
		if !s.complete() {
			c.fail(t.refusal) // the server is still waiting for content, and won't get it
		}
	case rep.class() == 2 && s.complete():
		for _, i := range t.taken {
			t.settled[i], t.results[i].Reply = true, rep.String()
		}
	default:
		c.fail(&Error{
			Command: "content", Code: rep.code, Line: rep.String(), Temporary: true,
			Err: errors.New("the server answered out of turn"),
		})
		t.lost(s, c.err)
	}
	c.dirty = false
}

// lost is the end of the connection before a reply to the content that can be made sense of.
func (t *transaction) lost(s *content, err *Error) {
	if s.local != nil {
		err = &Error{
			Command: "content", Temporary: true, Err: s.local,
			Hint: "the message could not be read here and was broken off; the connection had to be closed for it",
		}
		t.c.err = err
	}
	for _, i := range t.taken {
		t.fail(i, err)
		t.results[i].Doubtful = s.dotOut
	}
}

// fail makes a recipient's failure final.
func (t *transaction) fail(i int, e *Error) {
	t.settled[i] = true
	t.results[i].fail(e)
}

func (r *Result) fail(e *Error) {
	r.Err, r.Reply = e, e.Line
	if r.Reply == "" {
		r.Reply = e.Error()
	}
}
