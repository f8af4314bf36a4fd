package modem

import (
	"context"
	"errors"
	"strings"
	"time"
)

// wakeTries is how often a silent modem is spoken to before it counts as absent: the
// first line may be lost to rate detection, the second to a modem that was busy with
// the rest of the last call.
const wakeTries = 3

// dialect is how the modem spells result codes. It decides whether a line "3" is NO
// CARRIER or a piece of information.
type dialect int

const (
	unknown dialect = iota
	words
	numbers
)

// reply is the answer to a command.
type reply struct {
	result Result
	line   string   // the final line
	detail string   // what followed the code in it
	info   []string // the lines before, at most maxInfo

	noCarrier bool // NO CARRIER was among them
}

// maxInfo bounds the lines kept of one answer.
const maxInfo = 64

// Init wakes the modem, sends the profile's steps, and where the profile asks for it
// opens the SIM card and waits for the network. The error is a *CommandError, or the
// context's, or ErrInterrupted.
func (m *Modem) Init(ctx context.Context) error {
	ctx, leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	m.setDTR(true) // a modem with DTR low does not listen
	if err := m.wake(ctx); err != nil {
		return err
	}
	for _, s := range m.profile.Init {
		if err := m.step(ctx, s); err != nil {
			return err
		}
	}
	if m.profile.Results != "" {
		if err := m.step(ctx, Step{Send: "ATE0Q0" + m.profile.Results}); err != nil {
			return err
		}
	}
	return m.attach(ctx)
}

// wake gets the modem's attention and makes it talk: Q0 because a quiet modem would
// seem absent.
func (m *Modem) wake(ctx context.Context) error {
	m.dialect = unknown
	var err error
	var ce *CommandError
	for range wakeTries {
		var r reply
		if r, err = m.command(ctx, "ATQ0E0", time.Second, onCommand); err == nil && r.result == OK {
			return nil
		}
		if err == nil {
			err = m.refused("ATQ0E0", r)
		}
		// A modem that took half a line says ERROR: as good a reason to try again as silence.
		if ctx.Err() != nil || !errors.As(err, &ce) {
			break
		}
	}
	if isSilence(err) && errors.As(err, &ce) {
		ce.Hint = "check that the modem is switched on, the cable, the port's name and its rate; a modem still on line from an earlier call does not listen either"
	}
	return err
}

func (m *Modem) step(ctx context.Context, s Step) error {
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = m.profile.CommandTimeout
	}
	if restoresDialect(s.Send) {
		m.dialect = unknown
	}
	r, err := m.command(ctx, s.Send, timeout, onCommand)
	if resets(s.Send) && isSilence(err) {
		// It took the command and its stored settings say Q1, as those of an old dial-in
		// server do. If it is really gone, wake says so.
		return m.wake(ctx)
	}
	if err != nil {
		return err
	}
	ok := r.result == OK
	if ok && s.Expect != "" && s.Expect != "OK" {
		ok = strings.Contains(strings.Join(append(r.info, r.line), "\n"), s.Expect)
	}
	if ok {
		return nil
	}
	err = m.refused(s.Send, r)
	if s.Optional {
		m.log.Debug("modem: optional init step refused", "error", err)
		return nil
	}
	return err
}

// isSilence says whether a command was not answered.
func isSilence(err error) bool {
	var ce *CommandError
	return errors.As(err, &ce) && ce.Result == Timeout
}

// resets says whether a command loads stored settings.
func resets(cmd string) bool {
	cmd = strings.ToUpper(cmd)
	return strings.Contains(cmd, "Z") || strings.Contains(cmd, "&F")
}

// restoresDialect says whether a command may change V.
func restoresDialect(cmd string) bool {
	return resets(cmd) || strings.Contains(strings.ToUpper(cmd), "V")
}

func (m *Modem) refused(cmd string, r reply) error {
	e := &CommandError{Command: m.record.mask.Replace(cmd), Result: r.result, Line: m.record.clean(r.line)}
	switch r.result {
	case EquipmentError:
		e.Temporary, e.Hint = equipment(r.detail)
	case OK:
		e.Hint = "the modem's answer is not the expected one"
		if len(r.info) > 0 {
			e.Line = m.record.clean(r.info[len(r.info)-1])
		}
	default:
		e.Hint = "the modem does not take this command: choose its profile, or mark the step optional"
	}
	return e
}

// Which results end what. Everything else is said in between by itself. OK ends no
// dial: it would be a late answer to something else.
func onCommand(r Result) bool { return r == OK || r == Error || r == EquipmentError }
func onAbort(r Result) bool   { return r != None && r != Ring && r != Ringing }
func onDial(r Result) bool    { return r != OK && onAbort(r) }

// command sends a line and waits for the result code that ends it. Silence is a
// *CommandError with Timeout (and a reply with what was said all the same); a refusal
// is a reply.
func (m *Modem) command(ctx context.Context, cmd string, timeout time.Duration, final func(Result) bool) (reply, error) {
	// What came before is nobody's answer: an unsolicited line, or a late one.
	m.in.discard()
	limited, cancel := context.WithTimeoutCause(ctx, timeout, errNoAnswer)
	defer cancel()
	var r reply
	err := m.tell(limited, cmd)
	if err == nil {
		r, err = m.await(limited, cmd, final)
	}
	if err != nil && ctx.Err() == nil && errors.Is(err, errNoAnswer) {
		m.record.note("no answer within %v", timeout)
		err = &CommandError{
			Command: m.record.mask.Replace(cmd), Result: Timeout, Temporary: true,
			Hint: "the modem does not answer: check power and cable",
		}
	}
	return r, err
}

// errNoAnswer is the cause of a command's own time-out, told apart from the caller's.
var errNoAnswer = errors.New("modem: no answer")

// tell sends a command line.
func (m *Modem) tell(ctx context.Context, cmd string) error {
	m.record.sent(cmd)
	_, err := m.out.write(nil, []byte(cmd+"\r"), ctx.Done())
	if errors.Is(err, errWriteStopped) {
		return context.Cause(ctx)
	}
	return err
}

// await reads lines until one ends the command. The echo is skipped wherever it
// comes: ATZ may have turned it on again.
func (m *Modem) await(ctx context.Context, cmd string, final func(Result) bool) (reply, error) {
	var r reply
	for {
		line, err := m.in.line(ctx)
		if line != "" {
			m.record.got(line)
		}
		if err != nil {
			return r, err
		}
		if cmd != "" && strings.EqualFold(line, strings.TrimSpace(cmd)) {
			continue
		}
		result, detail := m.parse(line)
		if final(result) {
			r.result, r.line, r.detail = result, line, detail
			return r, nil
		}
		r.noCarrier = r.noCarrier || result == NoCarrier
		if len(r.info) < maxInfo {
			r.info = append(r.info, line)
		}
	}
}

// parse is ParseResult in the modem's dialect, which the first result code settles.
func (m *Modem) parse(line string) (Result, string) {
	r, detail := ParseResult(line)
	if code, own := m.profile.Codes[line]; own && m.dialect != words {
		r, detail = ParseResult(code)
	}
	switch {
	case !isNumber(line):
		if r != None {
			m.dialect = words
		}
	case m.dialect == words:
		return None, ""
	case r != None:
		m.dialect = numbers
	case m.dialect == numbers:
		// The maker's own number: a connection if the carrier is up.
		if up, err := m.dcd(); err == nil && up == carrierUp {
			return Connect, ""
		}
	}
	return r, detail
}
