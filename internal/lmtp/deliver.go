package lmtp

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"outpost/internal/mailaddr"
)

// Message is one message with all its recipients.
type Message struct {
	// From is the envelope sender; "" is the null reverse-path (RFC 5321 §4.5.5).
	From string
	// To are the recipients. One who is named twice is offered to the server once.
	To []string
	// Size is the number of octets that the content has; zero means unknown. Content that has another is taken for damaged and not sent.
	Size int64
	// EightBit: octets over 127 in the content. Nothing hangs on it so far, as go-smtp says BODY=8BITMIME to whoever offers that.
	EightBit bool
	// UTF8: UTF-8 in the header. SMTPUTF8 is said where it is offered; elsewhere the message goes without.
	UTF8 bool
	// Open, never nil, gives the content, header and all, in lines, not dot-stuffed. What it gives is closed before Deliver returns. It is
	// called again where the server wants the recipients in several transactions.
	Open func() (io.ReadCloser, error)
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

// delivery is one message under way.
type delivery struct {
	ctx context.Context
	c   *Client
	m   *Message

	from string   // as it is sent
	to   []string // as they are sent
	utf8 bool     // SMTPUTF8 is to be said

	// By their place in Message.To: what became of them, whether that is final, and who was named before with the same address.
	results []Result
	settled []bool
	same    []int
}

// Deliver hands over a message and says of each recipient, in the order of Message.To, what became of him. The error, *Error, is why there
// are recipients without a Result, who are to be tried again, or with a Doubtful one; nil if there are none. Its Temporary is false where a
// person has to do something about the connection first; about the message it says nothing. When ctx ends the connection is closed at once.
//
// The connection is closed when it can't be used any more, see Usable. It is not where the content couldn't be opened; then the error
// wraps what Message.Open said.
func (c *Client) Deliver(ctx context.Context, m Message) ([]Result, error) {
	if c.err != nil {
		return nil, c.err
	}
	d := &delivery{ctx: ctx, c: c, m: &m, results: make([]Result, len(m.To)), settled: make([]bool, len(m.To)), same: make([]int, len(m.To))}
	end := c.begin(ctx)
	e := d.run()
	end()
	results, whole := d.outcome()
	switch {
	case whole:
		return results, nil
	case c.err != nil:
		return results, c.err
	}
	return results, e
}

// run settles whom it can. An error ends the delivery; whether it ended the connection as well is in Client.err.
func (d *delivery) run() *Error {
	pending := d.screen()
	for len(pending) > 0 {
		var e *Error
		if pending, e = d.transaction(pending); e != nil {
			return e
		}
	}
	return nil
}

// outcome are the Results that there are; whole if they are for all recipients and beyond doubt.
func (d *delivery) outcome() (results []Result, whole bool) {
	whole = true
	for i, k := range d.same {
		if !d.settled[k] {
			whole = false
			continue
		}
		r := d.results[k]
		r.To = d.m.To[i]
		whole = whole && !r.Doubtful
		results = append(results, r)
	}
	return results, whole
}

// screen settles, before anything is sent, what the server can't take or what must not be sent at all; it returns those to offer.
func (d *delivery) screen() (pending []int) {
	refusal := d.c.checkSize(d.m.Size)
	if d.m.From != "" && refusal == nil {
		d.from, refusal = d.c.address("MAIL", d.m.From)
	}
	d.to = make([]string, len(d.m.To))
	d.utf8 = d.m.UTF8 || !mailaddr.IsASCII(d.from)
	first := map[string]int{}
	for i, to := range d.m.To {
		d.same[i] = i
		e := refusal
		if e == nil {
			d.to[i], e = d.c.address("RCPT", to)
		}
		if e != nil {
			d.settle(i, e)
			continue
		}
		if k, again := first[d.to[i]]; again {
			d.same[i] = k
			continue
		}
		first[d.to[i]] = i
		d.utf8 = d.utf8 || !mailaddr.IsASCII(d.to[i])
		pending = append(pending, i)
	}
	offered, _ := d.c.smtp.Extension("SMTPUTF8")
	d.utf8 = d.utf8 && offered
	return pending
}

// settle makes a recipient's failure final.
func (d *delivery) settle(i int, e *Error) {
	d.settled[i] = true
	d.results[i] = Result{To: d.m.To[i], Err: e, Reply: e.Line}
	if e.Line == "" {
		d.results[i].Reply = e.Error()
	}
}

func (d *delivery) accept(i int, reply string) {
	d.settled[i] = true
	d.results[i] = Result{To: d.m.To[i], Reply: reply}
}

// transaction offers the message to recipients, by their place, and returns those whom the server wants in another one.
func (d *delivery) transaction(pending []int) (left []int, e *Error) {
	src, err := d.m.Open()
	if err != nil {
		return nil, bodyError(err)
	}
	defer src.Close()
	err = d.c.smtp.Mail(d.from, &smtp.MailOptions{Size: d.m.Size, UTF8: d.utf8})
	if e := d.heard("MAIL", err); e != nil {
		if d.c.err == nil {
			d.settleAll(pending, e)
			return nil, nil
		}
		return nil, e
	}
	taken, left, e := d.recipients(pending)
	if e != nil {
		return nil, e
	}
	if len(taken) == 0 {
		d.reset()
		return left, nil
	}
	to, err := d.c.smtp.Data()
	if e := d.heard("DATA", err); e != nil {
		if d.c.err == nil {
			d.settleAll(taken, e)
			d.reset()
			return left, nil
		}
		return nil, e
	}
	if e := d.content(to, src); e != nil {
		return nil, e
	}
	d.conclude(to, taken)
	if d.c.err != nil {
		return nil, d.c.err
	}
	return left, nil
}

func (d *delivery) settleAll(list []int, e *Error) {
	for _, i := range list {
		d.settle(i, e)
	}
}

// heard judges the end of a command. Where its error isn't about this message the connection is closed.
func (d *delivery) heard(command string, err error) *Error {
	if err == nil {
		return nil
	}
	e := d.c.failure(command, err)
	if e.Code == 0 || e.ends() {
		d.c.fail(d.ctx, e)
		return d.c.err
	}
	return e
}

// recipients offers them one by one.
func (d *delivery) recipients(pending []int) (taken, left []int, e *Error) {
	for n, i := range pending {
		e := d.heard("RCPT", d.c.smtp.Rcpt(d.to[i], nil))
		switch {
		case e == nil:
			taken = append(taken, i)
		case d.c.err != nil:
			return nil, nil, e
		case len(taken) > 0 && e.tooMany():
			return taken, slices.Clone(pending[n:]), nil
		default:
			d.settle(i, e)
		}
	}
	return taken, nil, nil
}

// tooMany says that a refusal of RCPT may be about the number of recipients (RFC 5321 §4.5.3.1.10), and not about a full mailbox, which
// has the same code. If it isn't, the recipient is told so at the head of another transaction.
func (e *Error) tooMany() bool {
	return e.Temporary && (e.Code == 452 || e.Code == 552) && (e.Enhanced == "" || strings.HasSuffix(e.Enhanced, ".5.3"))
}

// content sends it, all but the end. Where that fails the connection is closed: go-smtp ends the message itself before it says anything
// else, and the server would take it for whole.
func (d *delivery) content(to io.Writer, src io.Reader) *Error {
	broken, err := send(to, src, d.m.Size)
	switch {
	case broken != nil:
		d.c.fail(d.ctx, bodyError(broken))
	case err != nil:
		d.c.fail(d.ctx, d.c.failure("content", err))
	}
	return d.c.err
}

// reset ends a transaction that the server may have open, so that nothing of it gets into the next (RFC 5321 §4.1.1.5). If that fails the
// connection is closed; the message is judged already.
func (d *delivery) reset() {
	if e := d.heard("RSET", d.c.smtp.Reset()); e != nil {
		d.c.fail(d.ctx, e)
		return
	}
	if e := d.c.hello(); e != nil {
		d.c.fail(d.ctx, e)
	}
}

// conclude ends the content and settles the recipients whom the server has taken.
func (d *delivery) conclude(to *smtp.DataCommand, taken []int) {
	d.c.line.SetPatience(finalFactor * d.c.opt.Timeout)
	defer d.c.line.SetPatience(d.c.opt.Timeout)
	if d.c.opt.LMTP {
		replies, err := to.CloseWithLMTPResponse()
		var refusals smtp.LMTPDataError
		errors.As(err, &refusals)
		for _, i := range taken {
			if reply := replies[d.to[i]]; reply != nil {
				d.accept(i, words(250, reply.StatusText))
			} else if refusal := refusals[d.to[i]]; refusal != nil {
				d.judge(i, refusal)
			}
		}
	} else {
		reply, err := to.CloseWithResponse()
		var refusal *smtp.SMTPError
		switch {
		case err == nil:
			for _, i := range taken {
				d.accept(i, words(250, reply.StatusText))
			}
		case errors.As(err, &refusal):
			for _, i := range taken {
				d.judge(i, refusal)
			}
		}
	}
	d.unheard(taken)
}

// judge is a reply to the content that isn't 250.
func (d *delivery) judge(i int, r *smtp.SMTPError) {
	if r.Code/100 == 2 { // go-smtp wants 250; by RFC 5321 §4.2.1 any of these will do
		d.accept(i, line(r))
		return
	}
	e := refused("content", r)
	d.settle(i, e)
	if e.ends() {
		d.results[i].Doubtful = errors.Is(e, errMisfit)
		d.c.fail(d.ctx, e)
	}
}

// unheard settles those whose reply didn't come. In doubt they are once the dot of the last line has left, and not before: no server can
// have accepted anything then, and they have no Result.
func (d *delivery) unheard(taken []int) {
	cause := d.c.wire.err
	if cause == nil {
		cause = errDeparted
	}
	for _, i := range taken {
		if d.settled[i] {
			continue
		}
		d.c.fail(d.ctx, lostError("content", d.c.line.Patience(), cause))
		if d.c.wire.short < len(".\r\n") {
			d.settle(i, d.c.err)
			d.results[i].Doubtful = true
		}
	}
}
