package relay

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// defaultWindow fills a line of 700 kbit/s with a round trip of 0.7 s. At 2400 bit/s it is a few minutes, which is as much as is in
	// the system's buffers anyway.
	defaultWindow = 64 << 10
	// maxInFlight bounds the messages, and maxSteps the commands, that are not answered. No line is so long that more would help.
	maxInFlight = 1000
	maxSteps    = 4000
	// maxResults is how many results may wait for the caller to take them; then no more replies are read.
	maxResults = 64
	// flushSize is how much is written at once at most, but for a piece of content.
	flushSize = 32 << 10
	// linger is how long something that could be sent waits for the next message, to go in one packet with it. Of what a round trip
	// takes on any line that is paid for it is nothing, and the caller's disk may need it.
	linger = 2 * time.Millisecond
	// farewell is the silence allowed when all that matters was heard: for the reply to QUIT, and between a 421 and the connection's end.
	farewell = 10 * time.Second
)

// ErrLimit is what the server's limit of messages in one connection ended: the rest can go on another one at once. Drain's error is it,
// and those of the Results that are Untried for that reason.
var ErrLimit = errors.New("the server takes no more messages on this connection")

// drain is the state of one Drain. Three goroutines share it: one asks for messages, one writes, one hears the replies. Drain's own
// hands the results out.
type drain struct {
	c        *Client
	group    bool // commands go in groups (RFC 2920)
	chunking bool // content goes by BDAT (RFC 3030)
	most     int  // messages that the server takes on a connection; 0: no limit is known

	ask     chan struct{} // a message is wanted; closed when none is any more
	got     chan *Message
	dead    chan struct{} // closed with over
	results chan *transaction

	mu    sync.Mutex
	moved sync.Cond // something below has changed

	queue    steps          // written, and not answered
	inFlight []*transaction // begun, and not done
	underWay int            // octets of content among the steps
	last     *transaction   // the one whose MAIL was written last
	taken    int64          // octets that the connection has taken
	writing  bool           // a write is under way
	mute     bool           // nothing is to be written any more
	stuck    error          // what a write met
	over     bool           // the connection is; why is in c.err
	patience time.Duration

	senders map[string]bool // that MAIL was granted on this connection
	granted int             // times MAIL was granted on it
	good    int             // messages accepted on it
	limit   *Error          // the server takes no more messages
	bye     *Error          // the server's 421
	goesOn  bool            // it answered something after that
	hit     *transaction    // the one that was on when the connection ended
	noDoubt bool            // what was not answered was not accepted: the server said 421 before, and ended the connection
}

// Drain sends what next gives until it gives nil, ends the connection with QUIT and closes it. Nothing else can be done with the Client
// after it, except Known.
//
// next is called from one goroutine, one call at a time, while earlier messages are being sent, and may block. Its context ends when
// no more messages are wanted; what it gives all the same is Untried. done is called once for each message that next gave, by the
// goroutine that called Drain, in the order in which they were given, with one Result for each recipient in the order of m.To; it may
// block, which stops the reading of replies in the end.
//
// The error says why the connection ended before next gave nil, and is nil otherwise: ErrLimit where the server takes no more
// messages on this connection, else *Error with the cause. The Results are complete and true in any case. What QUIT meets is no error.
// When ctx ends the connection is closed at once.
func (c *Client) Drain(ctx context.Context, next func(context.Context) *Message, done func(*Message, []Result)) error {
	defer func() { _ = c.Close() }()
	end := c.begin(ctx)
	if c.err != nil {
		end()
		return c.err
	}
	d := newDrain(c)
	feed, enough := context.WithCancel(ctx)
	defer enough()
	var all sync.WaitGroup
	all.Go(func() {
		defer close(d.got)
		for range d.ask {
			d.got <- next(feed)
		}
	})
	all.Go(func() {
		defer enough()
		defer close(d.ask)
		w := writer{drain: d, in: make([]byte, chunkSize)}
		w.run()
	})
	all.Go(func() {
		defer enough()
		defer close(d.results)
		d.read()
	})
	for t := range d.results {
		done(t.m, t.results)
	}
	all.Wait()
	err := d.remainder(done)
	end()
	c.fail(&Error{Command: "QUIT", Temporary: true, Err: errors.New("the connection was ended by QUIT")})
	return err
}

func newDrain(c *Client) *drain {
	d := &drain{
		c: c, group: c.ext.pipelining, chunking: c.ext.chunking, most: lesser(c.ext.maxMessages, c.known.MaxMessages),
		ask: make(chan struct{}, 1), got: make(chan *Message, 1), dead: make(chan struct{}), results: make(chan *transaction, maxResults),
		patience: c.line.Patience(), senders: make(map[string]bool),
	}
	d.moved.L = &d.mu
	return d
}

// lesser is the smaller one of two limits, of which 0 is none.
func lesser(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// remainder hands out what the end of the connection left, and says why it ended. Nothing else runs any more.
func (d *drain) remainder(done func(*Message, []Result)) error {
	var err *Error
	switch {
	case d.c.err != nil:
		err = d.c.err
	case d.limit != nil:
		err = d.limit
	}
	for _, t := range d.inFlight {
		d.settle(t, err)
		done(t.m, t.results)
	}
	for m := range d.got {
		if m == nil {
			continue
		}
		t := newTransaction(m)
		d.settle(t, err)
		done(m, t.results)
	}
	if err == nil {
		return nil
	}
	return err
}

// settle makes what the connection's end leaves open of a message final. It is in doubt if all had left that the server needs to accept
// it; it is tried if the connection ended when it was its turn.
func (d *drain) settle(t *transaction, e *Error) {
	doubt := t.doubtAt > 0 && d.taken >= t.doubtAt && t.refusal == nil
	if d.noDoubt && (t != d.hit || len(t.taken) == 0) {
		doubt = false
	}
	for i := range t.results {
		if t.settled[i] || t.refusal != nil || t.local != nil {
			continue
		}
		t.fail(i, e)
		t.results[i].Doubtful = doubt
		t.results[i].Untried = !doubt && t != d.hit
	}
	t.failRest(e)
}

// fault ends the connection; t is the message whose turn it was. The caller holds mu.
func (d *drain) fault(e *Error, t *transaction) {
	if d.over {
		return
	}
	if d.hit == nil {
		d.hit = t
	}
	d.c.fail(e)
	d.finish()
}

// finish ends the work of all. The caller holds mu.
func (d *drain) finish() {
	if !d.over {
		d.over, d.mute = true, true
		close(d.dead)
		d.moved.Broadcast()
	}
}

// tune sets the silence allowed on the line by what it is waited for. A write has the usual one, as every octet that moves counts. The
// caller holds mu.
func (d *drain) tune() {
	p := d.c.opt.Timeout
	if !d.writing && d.queue.len() > 0 {
		switch s := d.queue.first(); {
		case d.bye != nil || s.kind == stepQUIT:
			p = min(p, farewell)
		case s.content():
			p = d.c.opt.FinalTimeout
		}
	}
	if p != d.patience {
		d.patience = p
		d.c.line.SetPatience(p)
	}
}
