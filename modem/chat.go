package modem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Login is a dialogue in text that some providers hold before PPP: a prompt, a user
// name, a prompt, a password, the word ppp out of a menu. The zero value is none.
type Login struct {
	Steps []LoginStep
	// Abort is what the far end says when it is of no use to go on, such as "incorrect".
	// It holds for all steps.
	Abort []string
}

// LoginStep waits for a text and then sends one.
type LoginStep struct {
	// Expect is waited for anywhere in what the far end says, letter by letter. "": the
	// step does not wait.
	Expect string
	// Send is sent with a CR behind it. "": nothing is sent; "\r": the CR alone.
	Send     string
	NoReturn bool          // no CR behind Send, for a menu that takes a key
	Timeout  time.Duration // for Expect; 0: 45 s, as a far end behind a satellite may need, and as chat(8) has it
}

const (
	// loginTimeout is the patience of a step that does not say.
	loginTimeout = 45 * time.Second
	// maxHeard is how much of what the far end has said is kept: more than a screen of
	// 80 by 24, so that a prompt is found behind any banner.
	maxHeard = 2048
	// maxQuote is how much of it an error shows.
	maxQuote = 160
	// maxExpect bounds the texts that are looked for, so that they fit into what is kept.
	maxExpect = 256
)

// pppStart is how PPP begins: a flag, and the header of an LCP frame with its control
// octet plain or escaped (RFC 1662 §3.1, §4.2: before LCP has settled otherwise the header
// is whole, and everything below 0x20 is escaped).
var pppStart = [][]byte{{0x7e, 0xff, 0x03, 0xc0, 0x21}, {0x7e, 0xff, 0x7d, 0x23, 0xc0, 0x21}}

// LoginError is a log-in dialogue that failed. The call is still open.
type LoginError struct {
	Step      int    // the step, from 1 on
	Expect    string // what was waited for, secrets masked; "" when it was sending
	Abort     string // the text that ended it, "" when none did
	Heard     string // what the far end said last, printable, secrets masked, at most 160 octets
	Temporary bool   // another call may go better
	Hint      string // what a person can do
	Err       error  // the carrier's end, the context's; nil for a time-out or an abort
}

func (e *LoginError) Error() string {
	s := fmt.Sprintf("modem: log-in, step %d: ", e.Step)
	switch {
	case e.Abort != "":
		s += fmt.Sprintf("the far end says %q", e.Abort)
	case e.Err != nil:
		s += e.Err.Error()
	default:
		s += fmt.Sprintf("waited in vain for %q", e.Expect)
	}
	if e.Heard == "" {
		return s + "; nothing was heard"
	}
	return s + `; heard last: "` + e.Heard + `"`
}

// Unwrap returns the cause.
func (e *LoginError) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *LoginError) Advice() string { return e.Hint }

// ear listens for a text. It keeps a bounded end of what it heard since the last match.
type ear struct {
	abort []string
	heard []byte
}

// verdict is what an ear makes of what it heard.
type verdict int

const (
	nothing verdict = iota // go on listening
	matched                // the text that was waited for
	aborted                // one of the abort texts
	framed                 // the far end has started PPP
)

// listen takes an octet more and says what has come with it. Octet by octet, so that
// nothing behind a match is taken. The text is the one that ended it.
func (e *ear) listen(b byte, expect string) (verdict, string) {
	e.heard = append(e.heard, b)
	if over := len(e.heard) - maxHeard; over > 0 {
		e.heard = e.heard[:copy(e.heard, e.heard[over:])]
	}
	for _, start := range pppStart {
		if bytes.HasSuffix(e.heard, start) {
			return framed, string(start)
		}
	}
	if expect != "" && bytes.HasSuffix(e.heard, []byte(expect)) {
		return matched, expect
	}
	for _, a := range e.abort {
		if a != "" && bytes.HasSuffix(e.heard, []byte(a)) {
			return aborted, a
		}
	}
	return nothing, ""
}

// chat is a log-in under way.
type chat struct {
	c    *Conn
	ear  ear
	sent int // octets
	came int
}

// Login holds the dialogue on a connection that nobody reads or writes yet. It ends
// at once, and well, when the far end starts PPP; those octets are left for Read. sent and
// heard are the octets that it took, so that a count of the line's is complete. The error
// is a *LoginError; the call is open then as before.
func (c *Conn) Login(ctx context.Context, l Login) (sent, heard int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-c.done:
			cancel(c.err) // the carrier's end ends every wait
		case <-ctx.Done():
		}
	}()
	h := &chat{c: c, ear: ear{abort: l.Abort}}
	for i, s := range l.Steps {
		over, err := h.step(ctx, i+1, s)
		if err != nil {
			h.record()
			c.m.record.note("%v", err)
			return h.sent, h.came, err
		}
		if over {
			c.m.record.note("log-in: the far end has started PPP")
			break
		}
	}
	return h.sent, h.came, nil
}

// step says whether the dialogue is over.
func (h *chat) step(ctx context.Context, n int, s LoginStep) (over bool, err error) {
	if len(s.Expect) > maxExpect {
		return true, &LoginError{Step: n, Err: fmt.Errorf("the text to wait for is longer than %d octets", maxExpect), Hint: "shorten expect: a prompt's last word will do"}
	}
	if s.Expect != "" {
		if over, err := h.expect(ctx, n, s); over || err != nil {
			return over, err
		}
	}
	return false, h.send(ctx, n, s)
}

// expect listens until the step's text has come.
func (h *chat) expect(ctx context.Context, n int, s LoginStep) (framedNow bool, err error) {
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = loginTimeout
	}
	limited, cancel := context.WithTimeoutCause(ctx, timeout, errNoAnswer)
	defer cancel()
	var one [1]byte
	for {
		k, err := h.c.readUntil(limited, one[:])
		if err != nil {
			return false, h.fault(n, s, err)
		}
		h.came += k
		what, text := h.ear.listen(one[0], s.Expect)
		switch what {
		case framed:
			h.came -= len(text)
			h.ear.heard = h.ear.heard[:max(0, len(h.ear.heard)-len(text))]
			h.record()
			h.c.pending = append(h.c.pending, text...)
			return true, nil
		case matched:
			h.record()
			return false, nil
		case aborted:
			e := h.fault(n, s, nil)
			e.Abort, e.Temporary = h.c.m.record.clean(text), false
			e.Hint = "the provider does not take this log-in: check user and password of the line, and the texts of its [[line.login]]"
			return false, e
		default: // not yet
		}
	}
}

// record puts what was heard into the transcript and forgets it.
func (h *chat) record() {
	for line := range strings.FieldsFuncSeq(string(h.ear.heard), func(c rune) bool { return c == '\r' || c == '\n' }) {
		h.c.m.record.got(line)
	}
	h.ear.heard = h.ear.heard[:0]
}

// send sends the step's text.
func (h *chat) send(ctx context.Context, n int, s LoginStep) error {
	if s.Send == "" {
		return nil
	}
	h.c.m.record.sent(strings.TrimRight(s.Send, "\r\n"))
	text := s.Send
	if !s.NoReturn && !strings.HasSuffix(text, "\r") && !strings.HasSuffix(text, "\n") {
		text += "\r"
	}
	k, err := h.c.writeUntil(ctx, []byte(text))
	h.sent += k
	if err != nil {
		return h.fault(n, LoginStep{}, err)
	}
	return nil
}

// fault is the error of a step, with what was heard last.
func (h *chat) fault(n int, s LoginStep, cause error) *LoginError {
	record := h.c.m.record
	heard := printable(strings.Join(strings.Fields(record.clean(string(h.ear.heard))), " "))
	e := &LoginError{
		Step: n, Expect: record.clean(s.Expect), Heard: heard[max(0, len(heard)-maxQuote):], Temporary: true, Err: cause,
		Hint: "compare what was heard with expect of this [[line.login]] step; outpost calls shows the whole dialogue",
	}
	switch {
	case errors.Is(cause, errNoAnswer):
		e.Err = nil
		if heard == "" {
			e.Hint = "the far end said nothing: it may wait for PPP (then leave out [[line.login]]) or for a first CR (then begin with a step that only sends \"\\r\")"
		}
	case errors.Is(cause, ErrCarrierLost):
		e.Hint = "the far end hung up in the middle of the log-in"
	}
	return e
}
