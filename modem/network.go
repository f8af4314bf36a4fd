package modem

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Network is what a mobile or satellite modem is asked between its init steps and the
// dial command: is the SIM card open, has the network taken the modem, is there a
// signal. A call that is placed without fails after seconds that may be paid for, with
// nothing but NO CARRIER to say why.
type Network struct {
	// SIM asks for the state of the SIM card (AT+CPIN?, 3GPP TS 27.007 §8.3) and gives it
	// the PIN if, and only if, it wants it.
	SIM bool
	// PIN is the SIM card's, 4 to 8 digits. "": it has none.
	PIN string
	// PINs remembers what cards have refused, so that no card is blocked by a third wrong
	// try. Nil: as long as the Modem lives.
	PINs *PINRecord

	// Attach is sent when the SIM card is open, before the network is waited for: an LTE
	// modem attaches with the access point of its first context.
	Attach []Step

	// Registration is the commands that ask whether the network has taken the modem, such
	// as AT+CREG?, AT+CGREG? and AT+CEREG? (circuit-switched, GPRS and 3G, LTE: 3GPP TS
	// 27.007 §7.2, §10.1.20, §10.1.22). One that says so is enough, one that is refused is
	// not asked again. Nil: not asked.
	Registration []string
	// Wait is for registration and signal together. 0: 60 s. A stick that was just plugged
	// in searches for 10 to 40 s; a satellite handset that sees the sky about as long.
	Wait time.Duration
	// HomeOnly refuses to dial while roaming, which may cost many times the price.
	HomeOnly bool

	// Signal is the command that asks for the signal: AT+CSQ (TS 27.007 §8.5: 0 to 31), or
	// AT+CSQF on Iridium (0 to 5 bars, without the wait of +CSQ). "": not asked.
	Signal string
	// MinSignal is waited for, in the command's own unit. 0: any signal will do, also one
	// that the modem does not know (99).
	MinSignal int
	// Operator is the command that asks for the network's name, for the transcript and
	// the log: AT+COPS? (TS 27.007 §7.3). "": not asked. It stops nothing.
	Operator string
}

func (n Network) withDefaults() Network {
	if n.Wait <= 0 {
		n.Wait = 60 * time.Second
	}
	if n.PINs == nil {
		n.PINs = NewPINRecord("")
	}
	return n
}

// networkPoll is how often a modem that is not ready is asked again: twice in the time
// in which a stick typically changes its mind, and no flood in the transcript.
const networkPoll = 2 * time.Second

// attach gets a mobile modem ready to dial.
func (m *Modem) attach(ctx context.Context) error {
	n := &m.profile.Network
	if n.SIM {
		if err := m.openSIM(ctx); err != nil {
			return err
		}
	}
	for _, s := range n.Attach {
		if err := m.step(ctx, s); err != nil {
			return err
		}
	}
	if len(n.Registration) == 0 && n.Signal == "" {
		return nil
	}
	limited, cancel := context.WithTimeoutCause(ctx, n.Wait, errNoNetwork)
	defer cancel()
	found, err := m.awaitRegistration(limited)
	if err != nil {
		return err
	}
	signal, err := m.awaitSignal(limited)
	if err != nil {
		return err
	}
	operator := m.operator(ctx)
	m.record.note("network: %s, signal %s, operator %q", found, signal, operator)
	m.log.Info("modem: on the network", "registration", found.String(), "signal", signal, "operator", operator)
	return nil
}

// errNoNetwork is the cause of the end of Network.Wait, told apart from the caller's.
var errNoNetwork = errors.New("modem: no network in time")

// awaitRegistration waits until the network has taken the modem.
func (m *Modem) awaitRegistration(ctx context.Context) (registration, error) {
	ask := m.profile.Network.Registration
	if len(ask) == 0 {
		return unasked, nil
	}
	var last heardState
	for asked := ""; ; {
		mark := m.record.mark()
		best, kept, err := m.registration(ctx, ask)
		asked = m.record.fold(mark, asked)
		if err != nil && !outOfTime(ctx) {
			return best.state, err
		}
		if err == nil {
			last, ask = best, kept
		}
		if last.state.registered() && (last.state != roaming || !m.profile.Network.HomeOnly) {
			return last.state, nil
		}
		if err != nil || !pause(ctx, networkPoll) {
			return last.state, m.notRegistered(ctx, last)
		}
	}
}

// outOfTime says whether ctx ended because Network.Wait is over.
func outOfTime(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errNoNetwork) }

// heardState is a state of registration and who said so.
type heardState struct {
	state   registration
	command string
	line    string // the modem's verbatim line
}

// registration asks each command once and returns the best answer, and the commands that
// the modem knows.
func (m *Modem) registration(ctx context.Context, ask []string) (best heardState, kept []string, err error) {
	var refused error
	for _, cmd := range ask {
		r, err := m.command(ctx, cmd, m.profile.CommandTimeout, onCommand)
		switch {
		case err != nil:
			return best, ask, err
		case r.result != OK:
			refused = m.refused(cmd, r)
			continue
		}
		kept = append(kept, cmd)
		for _, line := range r.info {
			if s := parseRegistration(line); s.rank() > best.state.rank() {
				best = heardState{s, cmd, line}
			}
		}
	}
	if len(kept) == 0 {
		return best, ask, refused
	}
	return best, kept, nil
}

// notRegistered is the error of a wait that was in vain, or that was cut short.
func (m *Modem) notRegistered(ctx context.Context, last heardState) error {
	if !outOfTime(ctx) {
		return context.Cause(ctx)
	}
	m.record.note("no network after %v: %s", m.profile.Network.Wait, last.state)
	e := &CommandError{
		Command: last.command, Result: OK, Line: m.record.clean(last.line), Temporary: true,
		Err:  fmt.Errorf("no network after %v: %s", m.profile.Network.Wait, last.state),
		Hint: "check the antenna, and that the place has coverage; a modem that was just switched on may need longer: wait_seconds of its profile",
	}
	switch last.state {
	case denied:
		e.Hint = "the network does not take this SIM card: is it active and paid for, and may it be used in this network?"
	case roaming:
		e.Temporary = false
		e.Hint = "only a foreign network is there, and roaming = false forbids to dial in it: set roaming = true if the price is right"
	default: // the search may end well next time
	}
	if last.command == "" {
		e.Command, e.Result = m.profile.Network.Registration[0], Timeout
	}
	return e
}

// awaitSignal waits for a signal that is good enough and returns it for people.
func (m *Modem) awaitSignal(ctx context.Context) (string, error) {
	n := &m.profile.Network
	if n.Signal == "" {
		return "not asked", nil
	}
	level, line := signalUnknown, ""
	for asked := ""; ; {
		mark := m.record.mark()
		r, err := m.command(ctx, n.Signal, m.profile.CommandTimeout, onCommand)
		asked = m.record.fold(mark, asked)
		switch {
		case err != nil && !outOfTime(ctx):
			return "", err
		case err == nil && r.result != OK && n.MinSignal > 0:
			return "", m.refused(n.Signal, r)
		case err == nil:
			level, line = signalIn(r.info)
		}
		if n.MinSignal <= 0 || level != signalUnknown && level >= n.MinSignal {
			return levelText(level), nil
		}
		if err == nil && pause(ctx, networkPoll) {
			continue
		}
		if !outOfTime(ctx) {
			return "", context.Cause(ctx)
		}
		return "", &CommandError{
			Command: n.Signal, Result: OK, Line: m.record.clean(line), Temporary: true,
			Err:  fmt.Errorf("the signal is %s, and minimum_signal is %d", levelText(level), n.MinSignal),
			Hint: "move the antenna, under the open sky for a satellite, or lower minimum_signal",
		}
	}
}

// operator asks for the network's name, "" when the modem doesn't say.
func (m *Modem) operator(ctx context.Context) string {
	cmd := m.profile.Network.Operator
	if cmd == "" {
		return ""
	}
	r, err := m.command(ctx, cmd, m.profile.CommandTimeout, onCommand)
	if err != nil || r.result != OK {
		return ""
	}
	for _, line := range r.info {
		if name := parseOperator(line); name != "" {
			return name
		}
	}
	return ""
}
