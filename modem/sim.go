package modem

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// simWait is for a SIM card to become ready: after power-up and after its PIN it is
	// read for some seconds, and the modem says SIM busy (+CME ERROR: 14) or still SIM PIN.
	simWait = 15 * time.Second
	// simPoll is how often it is asked.
	simPoll = time.Second
	// pinWait is for the answer to the PIN, which the card itself must give.
	pinWait = 15 * time.Second
)

// simState is what AT+CPIN? says (3GPP TS 27.007 §8.3).
type simState int

const (
	simUnknown simState = iota // another line, or a code we do not know
	simReady
	simPIN   // SIM PIN: wants its PIN
	simPUK   // SIM PUK: three wrong PINs
	simOther // a lock of the modem's maker or the operator: PH-..., SIM PIN2 and the like
)

// parseSIM reads a line such as "+CPIN: READY".
func parseSIM(line string) simState {
	name, code, ok := strings.Cut(line, ":")
	if !ok || strings.TrimSpace(asciiUpper(name)) != "+CPIN" {
		return simUnknown
	}
	switch code = strings.Trim(asciiUpper(code), " \t\""); {
	case code == "READY", code == "SIM PIN2", code == "SIM PUK2":
		return simReady // the second PIN is for the phone book; calls do not need it
	case code == "SIM PIN":
		return simPIN
	case code == "SIM PUK":
		return simPUK
	case code != "":
		return simOther
	}
	return simUnknown
}

// Errors of the SIM card, wrapped by a *CommandError.
var (
	// ErrPINWanted: the card wants a PIN and there is none to give.
	ErrPINWanted = errors.New("the SIM card wants its PIN")
	// ErrPINRefused: this PIN was wrong, now or before; it is not sent again.
	ErrPINRefused = errors.New("the SIM card has refused this PIN")
	// ErrPUKWanted: the card is blocked.
	ErrPUKWanted = errors.New("the SIM card is blocked and wants its PUK")
	// ErrSIMLocked: the modem or the card has a lock that Outpost cannot open.
	ErrSIMLocked = errors.New("the modem is locked")
)

const askSIM = "AT+CPIN?"

// openSIM waits for the card and gives it the PIN once if it wants it.
func (m *Modem) openSIM(ctx context.Context) error {
	given, asked := false, ""
	for end := time.Now().Add(simWait); ; {
		mark := m.record.mark()
		r, err := m.command(ctx, askSIM, m.profile.CommandTimeout, onCommand)
		if err != nil {
			return err
		}
		asked = m.record.fold(mark, asked)
		state, line := simIn(r)
		switch {
		case state == simReady:
			return nil
		case state == simPIN && !given:
			if given, err = m.givePIN(ctx, line); err != nil {
				return err
			}
		case state == simPUK, state == simOther:
			return m.simError(state, line)
		case r.result == EquipmentError && !passing(r.detail):
			return m.refused(askSIM, r)
		}
		if time.Now().After(end) {
			return m.simSilent(r, line, given && state == simPIN)
		}
		if !pause(ctx, simPoll) {
			return context.Cause(ctx)
		}
	}
}

// simIn is the card's state in an answer.
func simIn(r reply) (simState, string) {
	for _, line := range r.info {
		if s := parseSIM(line); s != simUnknown {
			return s, line
		}
	}
	if r.result == EquipmentError {
		switch strings.ToLower(r.detail) {
		case "11", "sim pin required":
			return simPIN, r.line
		case "12", "sim puk required":
			return simPUK, r.line
		}
	}
	return simUnknown, r.line
}

// passing says whether an equipment error of the SIM card passes by itself: SIM busy, and
// what modems say while they start.
func passing(detail string) bool {
	switch strings.ToLower(detail) {
	case "14", "sim busy", "13", "sim failure", "100", "unknown", "515":
		return true
	}
	return false
}

// givePIN sends the PIN, unless that could block the card: it was refused before, or the
// card says that one try is left. It says whether the card took it: one that is busy has
// not looked at it.
func (m *Modem) givePIN(ctx context.Context, line string) (given bool, err error) {
	n := &m.profile.Network
	refuse := func(err error, hint string) (bool, error) {
		return false, &CommandError{Command: askSIM, Result: OK, Line: m.record.clean(line), Err: err, Hint: hint}
	}
	switch {
	case n.PIN == "":
		return refuse(ErrPINWanted, "put it into pin or pin_file of the line, or switch the PIN off in a telephone")
	case n.PINs.Refused(n.PIN):
		return refuse(ErrPINRefused, n.PINs.hint())
	}
	if left, known := m.pinTriesLeft(ctx); known && left <= 1 {
		return refuse(fmt.Errorf("%w: one try is left", ErrPINRefused),
			"somebody gave wrong PINs before, and the last try is left to a person: enter the right one in a telephone, which restores them all")
	}
	cmd := `AT+CPIN="` + n.PIN + `"`
	r, err := m.command(ctx, cmd, pinWait, onCommand)
	if err != nil {
		return false, err
	}
	if r.result == OK || r.result == EquipmentError && passing(r.detail) {
		return r.result == OK, nil
	}
	m.log.Error("modem: the SIM card refuses its PIN; it is not tried again")
	return true, &CommandError{
		Command: m.record.mask.Replace(cmd), Result: r.result, Line: m.record.clean(r.line), Err: errors.Join(ErrPINRefused, n.PINs.Note(n.PIN)),
		Hint: n.PINs.hint(),
	}
}

// pinTriesLeft asks how many tries the card still takes (3GPP TS 27.007 §8.65). Older
// modems do not know the command.
func (m *Modem) pinTriesLeft(ctx context.Context) (left int, known bool) {
	r, err := m.command(ctx, `AT+CPINR="SIM PIN"`, m.profile.CommandTimeout, onCommand)
	if err != nil || r.result != OK {
		return 0, false
	}
	for _, line := range r.info {
		if left, known = parseTries(line); known {
			return left, true
		}
	}
	return 0, false
}

// parseTries reads a line such as "+CPINR: SIM PIN,3,3".
func parseTries(line string) (left int, ok bool) {
	name, rest, _ := strings.Cut(line, ":")
	fields := strings.Split(rest, ",")
	if strings.TrimSpace(asciiUpper(name)) != "+CPINR" || len(fields) < 2 || strings.Trim(asciiUpper(fields[0]), " \t\"") != "SIM PIN" {
		return 0, false
	}
	return digits(fields[1])
}

// simError is a card that nothing can be done about from here.
func (m *Modem) simError(state simState, line string) error {
	e := &CommandError{Command: askSIM, Result: OK, Line: m.record.clean(line), Err: ErrPUKWanted,
		Hint: "put the card into a telephone and enter the PUK that came with it; nothing is dialled until then"}
	if state == simOther {
		e.Err, e.Hint = ErrSIMLocked, "the modem takes only its operator's cards, or has a lock of its own: see what its maker says about the code"
	}
	return e
}

// simSilent is a card that did not become ready in time; wanting says that it wants a PIN
// although it was given one.
func (m *Modem) simSilent(r reply, line string, wanting bool) error {
	if r.result != OK {
		err := m.refused(askSIM, r)
		var ce *CommandError
		if r.result == Error && errors.As(err, &ce) {
			ce.Hint = "the modem says nothing of its SIM card: is there one, and does it make contact? A modem without one needs sim = false"
		}
		return err
	}
	e := &CommandError{Command: askSIM, Result: OK, Line: m.record.clean(line), Temporary: true,
		Err: fmt.Errorf("the SIM card is not ready after %v", simWait), Hint: "does the card make contact?"}
	if wanting {
		// It said OK and wants a PIN all the same: the OK was another's, and this one is wrong.
		e.Temporary, e.Hint = false, m.profile.Network.PINs.hint()
		e.Err = errors.Join(ErrPINRefused, m.profile.Network.PINs.Note(m.profile.Network.PIN))
	}
	return e
}
