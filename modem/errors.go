package modem

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Errors of the data phase and of a modem's life.
var (
	// ErrCarrierLost ends reads and writes of a [Conn] whose line went down, or whose
	// port failed. The modem may still have to be hung up.
	ErrCarrierLost = errors.New("modem: carrier lost")
	// ErrClosed is returned by what was closed: a Conn after Close or Hangup, a Modem after Close.
	ErrClosed = errors.New("modem: closed")
	// ErrInterrupted ends an Init or a Dial that a Hangup or Close cut short.
	ErrInterrupted = errors.New("modem: interrupted by a hang-up")
)

// CommandError is a command that was not answered as it should be.
type CommandError struct {
	Command   string // as sent, secrets masked
	Result    Result // Timeout: no final answer came
	Line      string // the modem's verbatim line, "" when there was none
	Temporary bool   // trying again may help
	Hint      string // what a person can do
	Err       error  // the cause, may be nil
}

func (e *CommandError) Error() string {
	return "modem: " + e.Command + ": " + said(e.Result, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *CommandError) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *CommandError) Advice() string { return e.Hint }

// DialError is a dial that brought no connection. The modem is on-hook unless Err
// holds a *HangupError.
type DialError struct {
	Result    Result        // why; None when it was cancelled or the port failed
	Line      string        // the modem's verbatim line
	Temporary bool          // dialling the same number again later may help
	Wait      time.Duration // DELAYED: how long the modem will not dial this number; 0: not said
	Hint      string        // what a person can do
	Err       error         // the context's error, the port's, a *HangupError; may be nil
}

func (e *DialError) Error() string { return "modem: dial: " + said(e.Result, e.Line, e.Err) }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *DialError) Advice() string { return e.Hint }

// OtherNumber says whether another number may be reached all the same: this one did not
// answer, or the modem will not dial it. No dial tone, a SIM card without service, a port
// that failed, a line that may be open and a dial that was cancelled are the same for
// every number.
func (e *DialError) OtherNumber() bool {
	var open *HangupError
	if errors.As(e.Err, &open) {
		return false
	}
	switch e.Result {
	case NoCarrier, Busy, NoAnswer, Voice, Delayed, Blacklisted, Error:
		return true
	case Timeout:
		var deaf *CommandError // it did not even answer AT
		return !errors.As(e.Err, &deaf)
	default:
		return false
	}
}

// HangupError is a hang-up that was not confirmed: the line may still be open and
// cost money. DTR was left low, so that a modem that wakes up hangs up. Call Hangup again.
type HangupError struct {
	Carrier string   // what DCD said at the end: "up", "down", "unknown"
	Tried   []string // what was done and seen, in order, for a person
	Hint    string
	Err     error // what stopped it early (a context's end, a port's error), may be nil
}

func (e *HangupError) Error() string {
	s := "modem: hang-up not confirmed, the line may be open: carrier " + e.Carrier
	if len(e.Tried) > 0 {
		s += " (" + strings.Join(e.Tried, "; ") + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *HangupError) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *HangupError) Advice() string { return e.Hint }

// said puts what is known of a failure in a line.
func said(r Result, line string, err error) string {
	var s string
	switch {
	case line != "":
		s = "the modem says " + strconv.Quote(line)
	case r == Timeout:
		s = "no answer in time"
	case err != nil:
		return err.Error()
	default:
		s = r.String()
	}
	if err != nil {
		s = fmt.Sprintf("%s: %v", s, err)
	}
	return s
}

// dialFailure judges a final result of a dial.
func dialFailure(r Result, line, detail string) *DialError {
	e := &DialError{Result: r, Line: line, Temporary: true}
	switch r {
	case NoCarrier:
		e.Hint = "the far end did not answer as a modem, or the line was bad; it is worth another try"
	case Busy:
		e.Hint = "the number is busy; it is worth another try"
	case NoAnswer:
		e.Hint = "nobody picked up: check the number, or try later"
	case NoDialTone:
		e.Hint = "check the telephone cable and that nobody is using the line; behind a switchboard put X3 in the init string and an outside-line digit before the number"
	case Voice:
		e.Temporary = false
		e.Hint = "a person or an announcement answered: check the number"
	case Delayed:
		e.Wait = delay(detail)
		e.Hint = "the modem keeps its country's redial rules and will not dial this number yet"
	case Blacklisted:
		e.Temporary = false
		e.Hint = "the modem has given up on this number after too many failures; it forgets when it is switched off and on"
	case EquipmentError:
		e.Temporary, e.Hint = equipment(detail)
	case Error:
		e.Temporary = false
		e.Hint = "the modem did not take the dial command: check the number and the profile (below X4 this may also be its way to say DELAYED or BLACKLISTED)"
	case None, OK, Connect, Ring, Ringing:
		// No failures, or not final: there is nothing to say about them.
	case Timeout:
		e.Hint = "neither a connection nor a refusal came in time: the line may be very slow to answer; see dial_timeout"
	}
	return e
}

// delay reads the time of DELAYED: "5", "05:00" or "00:05:00", largest unit first;
// a plain number is minutes.
func delay(detail string) time.Duration {
	parts := strings.Split(strings.TrimSpace(detail), ":")
	if len(parts) > 3 {
		return 0
	}
	total := 0
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || n > 3600 {
			return 0
		}
		total = total*60 + n
	}
	if len(parts) == 1 {
		total *= 60
	}
	return time.Duration(total) * time.Second
}

// equipment judges the +CME ERROR codes of 3GPP TS 27.007 §9.2 that a person can do
// something about.
func equipment(detail string) (temporary bool, hint string) {
	switch strings.ToLower(detail) {
	case "10", "sim not inserted":
		return false, "there is no SIM card in the modem, or it makes no contact"
	case "11", "sim pin required":
		return false, "the SIM card wants its PIN"
	case "12", "sim puk required":
		return false, "the SIM card is blocked and wants its PUK"
	case "15", "sim wrong":
		return false, "the modem does not take this SIM card"
	case "16", "incorrect password":
		return false, "the PIN is wrong"
	case "14", "sim busy":
		return true, "the SIM card is still being read: try again in some seconds"
	case "3", "operation not allowed", "4", "operation not supported":
		return false, "the modem does not take this command now: choose its profile, or mark the step optional"
	case "30", "no network service":
		return true, "no network: check the antenna and the signal"
	default:
		return true, "the modem reports an equipment error; its manual lists the numbers"
	}
}
