package relay

import (
	"errors"
	"strconv"
	"time"
)

// writer is the half of a drain that writes. It never waits for a reply that the protocol doesn't make it wait for, and before it waits
// for anything, what is ready has left.
type writer struct {
	*drain
	in    []byte // what a body is read into
	piece []byte // what was read, encoded

	buf     []byte // written next
	base    int64  // octets of the stream before buf
	fresh   []step // of which replies are awaited once buf is written
	offered int    // messages of which MAIL was written
	asked   bool   // for a message that has not come yet
}

// run writes until there are no more messages, or the connection is over.
func (w *writer) run() {
	for m := w.take(); m != nil; m = w.take() {
		t := newTransaction(m)
		alive := w.message(t)
		t.body.close()
		if !alive {
			return
		}
	}
	// QUIT may be the last command of a group (RFC 2920 §3.1); where there are no groups, all is answered here.
	w.put(step{kind: stepQUIT}, "QUIT\r\n")
	w.flush()
}

// take gives the next message; nil if there is none, if no more can be sent, or if the connection is over. The one after it is asked
// for already, so that it is there in time.
func (w *writer) take() *Message {
	if !w.want(w.offered) {
		return nil
	}
	m, come := w.soon()
	if !come {
		if !w.flush() {
			return nil
		}
		select {
		case m = <-w.got:
		case <-w.dead:
			return nil
		}
	}
	w.asked = false
	if m != nil {
		w.want(w.offered + 1)
	}
	return m
}

// soon gives the message that was asked for if it is there, or comes within a moment and there is something to go with it.
func (w *writer) soon() (m *Message, come bool) {
	select {
	case m = <-w.got:
		return m, true
	default:
	}
	if len(w.buf) == 0 {
		return nil, false
	}
	moment := time.NewTimer(linger)
	defer moment.Stop()
	select {
	case m = <-w.got:
		return m, true
	case <-moment.C:
	case <-w.dead:
	}
	return nil, false
}

// want asks for a message, unless one was asked for and hasn't come, or it could not be sent after so many others. It says whether one
// can be sent now.
func (w *writer) want(offered int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit == nil && w.most > 0 && w.offered >= w.most {
		w.limit = &Error{Command: "MAIL", Temporary: true, Err: ErrLimit}
	}
	if w.limit != nil || w.mute {
		return false
	}
	if !w.asked && (w.most == 0 || offered < w.most) {
		w.asked = true
		w.ask <- struct{}{}
	}
	return true
}

// message writes all of one message that is to be written, and says whether the connection can take another.
func (w *writer) message(t *transaction) bool {
	t.screen(w.c)
	if len(t.open) > 0 {
		var err error
		t.body, w.piece, err = openBody(t.m, w.c.ext, w.piece, w.in)
		if err != nil {
			t.local = bodyError(err)
		}
	}
	w.begin(t)
	if len(t.open) > 0 && t.local == nil {
		if !w.envelope(t) {
			return false
		}
		send := w.content
		if w.chunking {
			send = w.chunks
		}
		if !send(t) {
			return false
		}
	}
	w.fresh = append(w.fresh, step{kind: stepEnd, t: t})
	return w.group || w.sync()
}

// begin puts t in flight, once there is room. It is there also if the connection is over, so that its Results are made.
func (w *writer) begin(t *transaction) {
	w.mu.Lock()
	full := len(w.inFlight) >= maxInFlight
	w.mu.Unlock()
	if full {
		w.await(func() bool { return len(w.inFlight) < maxInFlight })
	}
	w.mu.Lock()
	w.inFlight = append(w.inFlight, t)
	w.mu.Unlock()
}

// envelope writes MAIL, RCPT and, without CHUNKING, DATA. RSET comes first if a transaction may be open, or if it isn't known yet
// whether one is: nothing of a message that was refused must get into the next.
func (w *writer) envelope(t *transaction) bool {
	w.mu.Lock()
	reset := w.last != nil && !(w.last.done && w.last.clean)
	w.last = t
	w.mu.Unlock()
	w.offered++
	if reset && !w.command(step{kind: stepRSET, t: t}, "RSET\r\n") {
		return false
	}
	if !w.command(step{kind: stepMAIL, t: t}, t.mail(w.c.ext)) {
		return false
	}
	for k, i := range t.open {
		if !w.command(step{kind: stepRCPT, t: t, rcpt: i}, t.rcpt(k)) {
			return false
		}
	}
	return w.chunking || w.command(step{kind: stepDATA, t: t}, "DATA\r\n")
}

// command writes one command of an envelope; where there are no groups only if it can still be of use, and it waits for the reply.
func (w *writer) command(s step, line string) bool {
	if !w.group {
		w.mu.Lock()
		useless := s.t.refusal != nil || s.kind == stepRCPT && s.t.full || s.kind == stepDATA && len(s.t.taken) == 0
		w.mu.Unlock()
		if useless {
			return true
		}
	}
	return w.put(s, line)
}

// put writes something that is answered.
func (w *writer) put(s step, line string) bool {
	w.buf = append(w.buf, line...)
	w.fresh = append(w.fresh, s)
	return w.settleUp()
}

// settleUp flushes when much is ready, and waits for the replies where there are no groups.
func (w *writer) settleUp() bool {
	switch {
	case !w.group:
		return w.sync()
	case len(w.buf) >= flushSize:
		return w.flush()
	}
	return true
}

// chunks writes the content by BDAT (RFC 3030 §2), without waiting for the replies to the envelope. A chunk that was announced is
// always written in full; a message that fails before its last one leaves a transaction that the next one's RSET ends.
func (w *writer) chunks(t *transaction) bool {
	for {
		use, alive := w.room(t)
		if !use {
			return alive
		}
		s, last := step{kind: stepChunk, t: t, octets: len(w.piece)}, ""
		if t.body.whole {
			s.kind, last = stepLast, " LAST"
		}
		w.buf = append(append(append(w.buf, "BDAT "...), strconv.Itoa(len(w.piece))+last+"\r\n"...), w.piece...)
		w.fresh = append(w.fresh, s)
		w.mu.Lock()
		if w.underWay += len(w.piece); t.body.whole {
			t.doubtAt = w.base + int64(len(w.buf))
		}
		w.mu.Unlock()
		if t.body.whole {
			return w.settleUp()
		}
		// While it leaves, the replies to the envelope come in and may spare the rest.
		if !w.flush() || !w.settleUp() {
			return false
		}
		var err error
		if w.piece, err = t.body.read(w.piece[:0], w.in); err != nil {
			w.mu.Lock()
			t.local = bodyError(err)
			w.mu.Unlock()
			return true
		}
	}
}

// room waits until there is room in the window for more content of t: there always is for the oldest message, so that any can be sent.
// use is false if it isn't wanted any more.
func (w *writer) room(t *transaction) (use, alive bool) {
	fits := func() bool {
		return t.pointless() || w.inFlight[0] == t || int64(w.underWay) < w.c.opt.Window
	}
	w.mu.Lock()
	now := fits()
	w.mu.Unlock()
	if !now && !w.await(fits) {
		return false, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return !t.pointless(), true
}

// content waits for the go-ahead and writes the content with its final dot: in one write with what comes next, if it is small.
func (w *writer) content(t *transaction) bool {
	if !w.await(func() bool { return t.data || !w.group }) {
		return false
	}
	w.mu.Lock()
	goAhead, nobody, odd := t.goAhead, len(t.taken) == 0, t.odd
	w.mu.Unlock()
	switch {
	case !goAhead:
		return true
	case odd: // a dot would send an empty message to those it accepted
		w.breakOff(t, &Error{Command: "DATA", Temporary: true, Err: errors.New("the server wants the content of what it has refused")})
		return false
	case nobody: // RFC 2920 §3.1: it wants content though it has accepted nobody
		return w.put(step{kind: stepDot, t: t}, ".\r\n")
	}
	w.fresh = append(w.fresh, step{kind: stepContent, t: t})
	for {
		w.buf = append(w.buf, w.piece...)
		if t.body.whole {
			break
		}
		if !w.flush() {
			return false
		}
		var err error
		if w.piece, err = t.body.read(w.piece[:0], w.in); err != nil {
			w.breakOff(t, bodyError(err))
			return false
		}
	}
	w.mu.Lock()
	t.ended, t.doubtAt = true, w.base+int64(len(w.buf))+1
	w.mu.Unlock()
	w.buf = append(w.buf, ".\r\n"...)
	return w.settleUp()
}

// breakOff ends the connection over a message that the server waits for and can't get: DATA has no way to take back what was begun
// (RFC 5321 §4.1.1.4), and the server drops the fragment.
func (w *writer) breakOff(t *transaction, e *Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.local = e
	w.fault(e, t)
}

// flush writes what is ready, all at once, and says whether the connection can take more. Only from then on replies to it are awaited.
// An error of the write needs no words here: whoever waits for the reply gets them, from the server or from the connection's end.
func (w *writer) flush() bool {
	w.mu.Lock()
	for w.queue.len() >= maxSteps && !w.mute {
		w.moved.Wait()
	}
	if w.mute {
		w.mu.Unlock()
		return false
	}
	w.queue.push(w.fresh)
	w.fresh = w.fresh[:0]
	w.moved.Broadcast()
	if len(w.buf) == 0 {
		w.mu.Unlock()
		return true
	}
	w.writing = true
	w.tune()
	w.mu.Unlock()

	n, err := w.c.conn.Write(w.buf)

	w.mu.Lock()
	defer w.mu.Unlock()
	w.base += int64(len(w.buf))
	w.buf = w.buf[:0]
	w.taken += int64(n)
	w.writing = false
	w.tune()
	if err != nil {
		w.mute, w.stuck = true, err
		w.moved.Broadcast()
	}
	return !w.mute
}

// await flushes and waits until cond, which is called with mu held, or until nothing can be written any more: then it is false.
func (w *writer) await(cond func() bool) bool {
	if !w.flush() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for !cond() && !w.mute {
		w.moved.Wait()
	}
	return !w.mute
}

// sync flushes and waits until everything is answered.
func (w *writer) sync() bool {
	return w.await(func() bool { return w.queue.len() == 0 })
}
