package modem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// escapeTries is how often +++ is tried. The first may be spoiled by octets that were
	// still on their way to the modem.
	escapeTries = 2
	// dropPoll is how often DCD is looked at while a hang-up waits for it: the line costs
	// money, and this is short.
	dropPoll = 20 * time.Millisecond
	// purgeWait is how long a write stuck in flow control may take to end after the port's
	// buffer was emptied; that frees it at once.
	purgeWait = 200 * time.Millisecond
)

// Hangup brings the line down and returns nil when it has seen that it is down. It
// drops DTR first, which works whatever the modem is doing; then, if the carrier is
// still up or cannot be seen, it escapes with guard times and +++ and sends ATH. What
// cannot be confirmed is a *HangupError; DTR then stays low, and Hangup may be called
// again. It ends a Conn and cuts short an Init or a Dial of another goroutine. On a
// modem that is on-hook it does nothing.
func (m *Modem) Hangup(ctx context.Context) error {
	release, err := m.seize(ctx)
	if errors.Is(err, ErrClosed) && m.isOnHook() {
		return nil
	}
	if err != nil {
		return &HangupError{Carrier: carrierUnknown.String(), Err: err, Hint: hintOpen}
	}
	defer release()
	if up, err := m.dcd(); m.isOnHook() && err == nil && up != carrierUp {
		return nil
	}
	m.mu.Lock()
	mayBeOnline := m.silent // and isn't asked a second time
	m.mu.Unlock()
	return m.hangUp(ctx, mayBeOnline)
}

const hintOpen = "the call may still be running and cost money: switch the modem off or pull the telephone cable, then find out why it did not hang up"

// hanging is one hang-up under way.
type hanging struct {
	m     *Modem
	tried []string
	seen  bool // DCD was up in this call, so that its being down is evidence
}

func (h *hanging) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	h.tried = append(h.tried, line)
	h.m.record.note("hang-up: %s", line)
}

// hangUp does it; the dialogue is held. mayBeOnline says that the modem may be in the
// data phase although there is no Conn.
func (m *Modem) hangUp(ctx context.Context, mayBeOnline bool) error {
	h := &hanging{m: m}
	m.mu.Lock()
	conn := m.conn
	m.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
		h.seen = conn.sawDCD.Load()
		mayBeOnline = true
	}
	m.setOnHook(false)
	m.in.discard()
	err := h.down(ctx, mayBeOnline)
	if err != nil {
		m.setDTR(false)
		return err
	}
	m.mu.Lock()
	m.conn = nil
	m.mu.Unlock()
	m.seenOnHook(h.tried[len(h.tried)-1])
	m.log.Debug("modem: on-hook", "proof", m.Proof())
	return nil
}

// Proof is what the last confirmed hang-up or OnHook saw that the line is down by,
// for a person: "DTR low, DCD down", "OK to ATH, DCD unknown". It is "" before the
// first, and from a dial until the hang-up that follows. It may be called at any time.
func (m *Modem) Proof() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.onHook {
		return ""
	}
	return m.proof
}

func (m *Modem) seenOnHook(proof string) {
	m.mu.Lock()
	m.proof, m.silent = proof, false
	m.mu.Unlock()
	m.setOnHook(true)
}

func (h *hanging) down(ctx context.Context, mayBeOnline bool) error {
	for _, by := range h.m.profile.HangupBy {
		if by == HangupDTR && h.dropDTR(ctx) || by == HangupEscape && h.escapes(ctx, mayBeOnline) {
			return nil
		}
	}
	up, err := h.m.dcd()
	if err = errors.Join(err, h.m.in.failure()); err == nil {
		err = ctx.Err()
	}
	e := &HangupError{Carrier: up.String(), Tried: h.tried, Hint: hintOpen, Err: err}
	if up == carrierUp && len(h.tried) > 0 && h.tried[len(h.tried)-1] == stillUp {
		e.Hint = "the modem says OK to ATH but its carrier signal stays up: if modem or cable holds DCD up for good (AT&C0), set ignore_dcd; else " + hintOpen
	}
	return e
}

// escapes says ATH, after an escape unless the modem is in command state for certain.
func (h *hanging) escapes(ctx context.Context, mayBeOnline bool) bool {
	if up, err := h.m.dcd(); err == nil && up == carrierUp {
		h.seen = true
	}
	if !mayBeOnline && !h.seen && h.sayATH(ctx) {
		return true
	}
	// What the port still holds of the call would spoil the guard time.
	h.m.out.purge(purgeWait)
	for range escapeTries {
		if ctx.Err() != nil || h.m.in.failure() != nil {
			break
		}
		if h.escape(ctx) && h.sayATH(ctx) {
			return true
		}
	}
	return false
}

const stillUp = "OK to ATH, but DCD is still up"

// dropDTR pulls DTR low until the carrier is gone and says whether that was seen.
func (h *hanging) dropDTR(ctx context.Context) bool {
	m := h.m
	up, _ := m.dcd()
	h.seen = h.seen || up == carrierUp
	dropped := m.setDTR(false)
	// With DTR low nothing more goes to the line. What a stuck writer had in hand would
	// be typed at the modem: away with it.
	if !m.out.purge(purgeWait) {
		h.note("a write is stuck in the port")
	}
	if !dropped {
		h.note("no DTR to drop")
		return false
	}
	gone := false
	if up == carrierUp {
		gone = h.waitDown(ctx, m.profile.DTRTimeout)
	} else if pause(ctx, m.profile.DTRPulse) && h.seen {
		// The carrier had gone by itself. The pulse makes sure that this was no retrain.
		now, err := m.dcd()
		gone = err == nil && now == carrierDown
	}
	m.setDTR(true)
	switch {
	case gone:
		h.note("DTR low, DCD down")
	case up == carrierUp:
		h.note("DTR low for %v, DCD still up", m.profile.DTRTimeout)
	default:
		h.note("DTR low for %v, DCD says nothing", m.profile.DTRPulse)
	}
	return gone
}

// waitDown waits until DCD is seen down.
func (h *hanging) waitDown(ctx context.Context, limit time.Duration) bool {
	for end := time.Now().Add(limit); ; {
		up, err := h.m.dcd()
		if err == nil && up == carrierDown {
			return true
		}
		if err != nil || up == carrierUnknown || !time.Now().Before(end) || !pause(ctx, dropPoll) {
			return false
		}
	}
}

// escape brings the modem from data to command state. No octet may go out for the
// guard time before and after +++. The silence before has often passed already, while
// DTR was low or the far end was to answer PPP's goodbye: it is paid for once. The
// modem's OK is not asked for, as one that was in command state all along says nothing.
func (h *hanging) escape(ctx context.Context) bool {
	m := h.m
	if quiet := m.out.quiet(); quiet < m.profile.GuardTime && !pause(ctx, m.profile.GuardTime-quiet) {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, m.profile.CommandTimeout)
	defer cancel()
	sequence := bytes.Repeat([]byte{m.profile.EscapeChar}, 3)
	m.record.sent(string(sequence))
	if _, err := m.out.write(nil, sequence, limited.Done()); err != nil {
		h.note("%s could not be written: %v", sequence, err)
		m.out.purge(purgeWait)
		return false
	}
	return pause(ctx, m.profile.GuardTime)
}

// sayATH asks for the hang-up in command state and says whether it was confirmed. The
// CR before ends whatever line the modem has been typed: the +++ it did not need.
func (h *hanging) sayATH(ctx context.Context) bool {
	m := h.m
	limited, cancel := context.WithTimeout(ctx, m.profile.CommandTimeout)
	defer cancel()
	if _, err := m.out.write(nil, []byte{'\r'}, limited.Done()); err != nil {
		h.note("ATH could not be written: %v", err)
		return false
	}
	r, err := m.command(ctx, "ATH", m.profile.CommandTimeout, onCommand)
	answer := r.line
	switch {
	case err != nil && r.noCarrier:
		answer = NoCarrier.String() // some say this instead of OK, others before it
	case err != nil:
		h.note("ATH: %v", err)
		return false
	case r.result != OK:
		h.note("ATH: %s", r.line)
		return false
	}
	up, err := m.dcd()
	if err == nil && up == carrierUp {
		h.waitDown(ctx, m.profile.DTRTimeout)
		up, err = m.dcd()
	}
	if err != nil || up == carrierUp {
		h.note(stillUp)
		return false
	}
	h.note("%s to ATH, DCD %s", answer, up)
	return true
}

// pause waits; it says false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// OnHook says whether the line is down, for the start after a crash. True means it was
// seen: DCD is not up, and the modem said OK to ATH (which changes nothing on a modem
// that is on-hook). False without an error means the carrier is up. A modem that does
// not answer is an error: it may be on line. It raises DTR and drops nothing.
func (m *Modem) OnHook(ctx context.Context) (bool, error) {
	ctx, leave, err := m.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	up, err := m.dcd()
	if err != nil {
		return false, fmt.Errorf("modem: %w", err)
	}
	if up == carrierUp {
		return false, nil
	}
	m.setDTR(true)
	r, err := m.command(ctx, "ATH", m.profile.CommandTimeout, onCommand)
	if err != nil {
		m.mu.Lock()
		m.silent = isSilence(err)
		m.mu.Unlock()
		return false, err
	}
	if r.result != OK {
		return false, m.refused("ATH", r)
	}
	if up, err = m.dcd(); err != nil || up == carrierUp {
		return false, err
	}
	m.seenOnHook(fmt.Sprintf("%s to ATH, DCD %s", r.line, up))
	return true, nil
}
