package relay

import (
	"errors"
	"os"
	"slices"
	"strings"
	"time"
)

// read hears the replies to what was written, in its order, until the one to QUIT or the end of the connection.
func (d *drain) read() {
	for {
		s, more := d.head()
		switch {
		case !more:
			return
		case s.kind == stepEnd:
			d.results <- d.done(s.t)
			continue
		}
		rep, err := d.c.in.read()
		d.mu.Lock()
		switch {
		case s.kind == stepQUIT && (err == nil || d.c.ctx.Err() == nil):
			d.finish() // whatever was said or not: nothing hangs on it any more
		case err != nil:
			d.lost(s, err)
		default:
			d.hear(s, rep)
			d.queue.pop()
			d.moved.Broadcast()
		}
		d.mu.Unlock()
	}
}

// head waits for the next step to await the reply of; false when the connection is over.
func (d *drain) head() (s step, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.queue.len() == 0 && !d.over {
		if d.mute {
			d.lost(step{}, d.stuck)
			break
		}
		d.moved.Wait()
	}
	if d.over {
		return step{}, false
	}
	d.tune()
	return d.queue.first(), true
}

// done takes a message out of flight of which everything is answered, its Results complete.
func (d *drain) done(t *transaction) *transaction {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.refusal == nil && t.local == nil {
		for _, i := range t.open[t.heard:] { // there was no use in asking, as the server wanted no more
			t.postpone(i, &Error{Command: "RCPT", Temporary: true, Err: errTooMany})
		}
	}
	t.failRest(&Error{Command: "content", Temporary: true, Err: errors.New("the server has not said what became of it")})
	t.done = true
	d.inFlight[0] = nil
	d.inFlight = d.inFlight[1:]
	d.queue.pop()
	d.moved.Broadcast()
	return t
}

// lost is the end of the connection while the reply to s was awaited. The caller holds mu.
func (d *drain) lost(s step, err error) {
	if d.bye == nil {
		hit := s.t
		if d.good > 0 && (s.kind == stepRSET || s.kind == stepMAIL) {
			hit = nil // it isn't the message's fault, which had hardly begun
		}
		d.fault(lostError(s.name(), d.c.line.Patience(), err), hit)
		return
	}
	// The server said 421 and then nothing more, and has now closed, as it had to (RFC 5321 §3.8): of what it didn't answer it can't
	// have accepted anything. If it went on instead, or fell silent, nobody knows.
	d.noDoubt = !d.goesOn && !errors.Is(err, errNotSMTP) && !errors.Is(err, os.ErrDeadlineExceeded) && d.c.ctx.Err() == nil
	d.fault(d.bye, d.hit)
}

// hear draws the conclusion from the reply to s. The caller holds mu.
func (d *drain) hear(s step, rep reply) {
	t := s.t
	d.underWay -= s.octets
	d.goesOn = d.bye != nil
	if !s.fits(rep) {
		d.fault(replyError(s.name(), rep), t)
		return
	}
	var refused *Error
	if rep.class() >= 4 {
		refused = replyError(s.name(), rep)
		if s.kind == stepRSET || s.kind == stepMAIL {
			d.checkLimit(t, rep, refused)
		}
	}
	switch s.kind {
	case stepRSET:
		if refused != nil && rep.code != 421 {
			d.fault(refused, t) // what stands open there must not get what is meant for t
		}
	case stepMAIL:
		t.clean = refused != nil
		t.refuse(refused)
		if refused == nil {
			d.granted++
			if len(d.senders) < maxInFlight {
				d.senders[t.from] = true
			}
		}
	case stepRCPT:
		d.recipient(s, rep, refused)
	case stepDATA:
		t.data, t.goAhead = true, refused == nil
		t.refuse(refused)
	case stepDot:
		t.clean = true
	case stepContent, stepChunk, stepLast:
		d.judged(s, rep, refused)
	case stepEnd, stepQUIT:
	}
	if rep.code == 421 {
		d.closing(t, refused)
	}
}

// refuse keeps the first refusal of the message as a whole.
func (t *transaction) refuse(e *Error) {
	if t.refusal == nil {
		t.refusal = e
	}
}

// recipient is the reply to RCPT.
func (d *drain) recipient(s step, rep reply, refused *Error) {
	t := s.t
	t.heard++
	switch {
	case t.refusal != nil:
		// A refusal only says that there was no MAIL.
		t.odd = t.odd || refused == nil
	case refused == nil:
		t.taken = append(t.taken, s.rcpt)
	case len(t.taken) > 0 && tooManyRecipients(rep, refused):
		if known := &d.c.known; !t.full && names(rep, "too many recipients") {
			known.MaxRecipients, known.LimitsAt = len(t.taken), time.Now()
		}
		refused.Err = errTooMany
		t.postpone(s.rcpt, refused)
		t.full = true
	default:
		t.fail(s.rcpt, refused)
	}
}

// judged is a reply to content. Only here messages are accepted.
func (d *drain) judged(s step, rep reply, refused *Error) {
	t := s.t
	switch {
	case s.kind == stepContent && !t.ended:
		// The server has had enough and waits for an end that won't come; or it is out of turn.
		e := refused
		if t.refusal = refused; e == nil {
			e = outOfTurn(rep)
		}
		d.fault(e, t)
	case refused != nil:
		t.refuse(refused)
		t.clean = s.kind == stepContent // RFC 3030 §2: a chunk that was refused leaves the transaction to RSET
	case s.kind == stepChunk:
	case t.refusal != nil:
		// It has refused the sender or a part of the content, and accepts the whole. What it does with it nobody knows.
		e := outOfTurn(rep)
		t.refusal = nil
		d.fault(e, t)
	default:
		t.clean = true
		if len(t.taken) > 0 {
			d.good++
			t.accept(rep)
		}
	}
}

func outOfTurn(rep reply) *Error {
	return &Error{
		Command: "content", Code: rep.code, Line: rep.String(), Temporary: true,
		Err: errors.New("the server answered out of turn"),
	}
}

// closing is a 421, with which a server may answer anything before it closes (RFC 5321 §3.8). Where messages that are in flight hang on
// it, the end is waited for, so that none of them is taken for accepted perhaps.
func (d *drain) closing(t *transaction, e *Error) {
	d.mute = true
	if d.bye == nil {
		d.bye, d.hit = e, t
	}
	if !slices.ContainsFunc(d.inFlight, func(t *transaction) bool { return t.doubtAt > 0 && t.refusal == nil }) {
		d.fault(e, t)
	}
}

// checkLimit finds out whether a refusal of MAIL, or of the RSET before it, is about the connection and not about the message: messages
// went before, and it says so, or it is the code for the end of the connection, or the same sender was granted before. If that is wrong it
// costs a connection, on which the message is the first then and its refusal is taken for one.
func (d *drain) checkLimit(t *transaction, rep reply, refused *Error) {
	if d.good == 0 {
		return
	}
	says := tooManyMessages(rep)
	switch rep.code {
	case 421:
	case 450, 451, 452:
		if !says && !d.senders[t.from] {
			return
		}
	default:
		if !says {
			return
		}
	}
	if says && d.limit == nil {
		d.c.known.MaxMessages, d.c.known.LimitsAt = d.granted, time.Now()
	}
	refused.Err, refused.Temporary = ErrLimit, true
	t.limit = true
	t.refuse(refused)
	if d.limit == nil {
		d.limit = refused
	}
}

var errTooMany = errors.New("the server takes no more recipients for one message")

// tooManyMessages says that a refusal names a limit for one connection. There is no code for that; these are the words of the servers
// that are about.
func tooManyMessages(rep reply) bool {
	return names(rep, "too many messages", "too many mails", "too many transactions", "message limit",
		"per connection", "per session", "this connection", "this session")
}

// tooManyRecipients says that a refusal of RCPT is about the number of them (RFC 5321 §4.5.3.1.10), and not about a full mailbox, which
// has the same code.
func tooManyRecipients(rep reply, refused *Error) bool {
	code := rep.code == 452 || rep.code == 552
	return refused.Temporary && (names(rep, "too many recipients") ||
		code && (refused.Enhanced == "" || strings.HasSuffix(refused.Enhanced, ".5.3")))
}

func names(rep reply, words ...string) bool {
	text := strings.ToLower(strings.Join(rep.lines, " "))
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}
