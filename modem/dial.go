package modem

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
)

// abortBudget bounds the hang-up after a dial that was given up: the abort's own wait,
// a DTR drop and two escapes with room to spare. It holds although the caller's context
// has ended, because the line is open until then.
const abortBudget = 20 * time.Second

// Dial calls a number and returns the data phase. Init is not part of it. It can be
// cancelled at any moment; the modem is on-hook when it returns an error, or the
// error, a *DialError, wraps a *HangupError.
func (m *Modem) Dial(ctx context.Context, number string) (*Conn, error) {
	ctx, leave, err := m.enter(ctx)
	if err != nil {
		return nil, &DialError{Temporary: true, Err: err}
	}
	defer leave()
	if err := ctx.Err(); err != nil {
		return nil, &DialError{Temporary: true, Err: context.Cause(ctx)}
	}
	if strings.ContainsFunc(number, unicode.IsControl) {
		return nil, &DialError{Err: errors.New("the number has a control character in it"), Hint: "check the number"}
	}
	if strings.HasSuffix(number, ";") {
		return nil, &DialError{Err: errors.New("the number ends with a semicolon, which makes a voice call"), Hint: "check the number"}
	}
	m.setDTR(true)
	if up, err := m.dcd(); err != nil || up == carrierUp {
		return nil, &DialError{
			Err:  errors.Join(err, errors.New("the carrier is up before dialling")),
			Hint: "a call is still open: hang up first; where the modem or cable holds DCD up for good, set ignore_dcd",
		}
	}
	m.setOnHook(false)
	r, err := m.call(ctx, m.profile.DialPrefix+number+m.profile.DialSuffix)
	switch {
	case err != nil:
		return nil, m.abandon(ctx, err)
	case r.result != Connect:
		return nil, dialFailure(r.result, m.record.clean(r.line), r.detail)
	}
	return m.connected(r), nil
}

// call sends the dial command and waits for its end.
func (m *Modem) call(ctx context.Context, cmd string) (reply, error) {
	limited, cancel := context.WithTimeoutCause(ctx, m.profile.DialTimeout, errNoAnswer)
	defer cancel()
	// What the last hang-up made the modem say may still be on its way, and NO CARRIER
	// would end this dial: it comes before the answer to this.
	if r, err := m.command(limited, "AT", m.profile.CommandTimeout, onCommand); err != nil || r.result != OK {
		return r, err
	}
	if err := m.tell(limited, cmd); err != nil {
		return reply{}, err
	}
	return m.await(limited, cmd, onDial)
}

// connected begins the data phase with the octet after the CONNECT line.
func (m *Modem) connected(r reply) *Conn {
	c := newConn(m, r, m.in.afterR && m.dialect != numbers)
	if up, err := m.dcd(); err == nil && up == carrierUp {
		c.sawDCD.Store(true)
	}
	m.mu.Lock()
	m.conn = c
	m.mu.Unlock()
	m.in.give(c)
	m.out.owner.Store(c)
	m.watches.Go(c.watch)
	return c
}

// abandon stops a dial that did not end by itself and puts the modem on-hook. Any
// character stops a dialling modem (ITU-T V.250 §6.3.1); it answers NO CARRIER, or
// CONNECT if it was quicker.
func (m *Modem) abandon(ctx context.Context, cause error) error {
	e := &DialError{Temporary: true, Err: cause}
	var ce *CommandError
	if errors.As(cause, &ce) { // it did not even answer AT
		e.Result, e.Hint = ce.Result, ce.Hint
	}
	if ctx.Err() == nil && errors.Is(cause, errNoAnswer) {
		e = dialFailure(Timeout, "", "")
	}
	m.record.note("dial given up: %v", cause)
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortBudget)
	defer cancel()
	limited, stop := context.WithTimeout(fresh, m.profile.AbortTimeout)
	defer stop()
	var r reply
	_, err := m.out.write(nil, []byte{'\r'}, limited.Done())
	if err == nil {
		r, _ = m.await(limited, "", onAbort)
	}
	if err := m.hangUp(fresh, r.result == Connect); err != nil {
		e.Err = errors.Join(e.Err, err)
	}
	return e
}
