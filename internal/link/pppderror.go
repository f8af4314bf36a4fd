package link

import (
	"errors"
	"fmt"
	"os/exec"
)

// PPPDError is how pppd ended.
type PPPDError struct {
	Code      int    // its exit status (pppd(8), EXIT STATUS); -1: it was killed, or never ran
	Why       string // the line of its log that says what went wrong, verbatim; may be empty
	Peer      string // the far end's own words, when it refused us; may be empty
	Temporary bool   // worth another call without changing anything
	Hint      string // what a person can do
	Err       error  // what ended it from our side, such as a lost carrier; may be nil
}

// pppdEnd is what an exit status means.
type pppdEnd struct {
	words     string
	hint      string
	temporary bool
}

// authRefused is the exit status for a wrong password.
const authRefused = 19

// pppdEnds are those of pppd(8), EXIT STATUS.
var pppdEnds = map[int]pppdEnd{
	0:           {"the far end ended the call", "", true},
	1:           {"it met a fatal error", "its log, in the report of the call, says which", true},
	2:           {"it doesn't take its options", "look at pppd_options, /etc/ppp/options and what they call", false},
	3:           {"it isn't run by root", "run outpost as root, or pppd setuid root with outpost's user in its group (dip on Debian)", false},
	4:           {"the kernel has no PPP", "load the module ppp_generic, or use the kind modem, which needs none", false},
	5:           {"somebody ended it", "", true},
	6:           {"the port is locked", "", true},
	7:           {"the port could not be opened", "", true},
	8:           {"the connect script failed", "outpost dials by itself: take connect out of pppd's options", false},
	9:           {"the pty command failed", "take pty out of pppd's options", false},
	10:          {"it came to no agreement with the far end", "is it PPP that answers there? The log says how far it came", true},
	11:          {"the far end didn't say who it is", "providers don't: put noauth into the file that pppd_options calls", false},
	12:          {"the line was idle for too long", "take idle out of pppd's options: outpost hangs up by itself", true},
	13:          {"the call took too long", "take maxconnect out of pppd's options: max_call_minutes is for that", true},
	14:          {"the far end wants to call back", "outpost doesn't take calls", false},
	15:          {"the far end doesn't answer any more", "", true},
	16:          {"the modem hung up", "", true},
	17:          {"the line is looped back", "what we send comes back: is the modem still in its command state, or the far end no PPP?", true},
	18:          {"the init script failed", "take init out of pppd's options", false},
	authRefused: {"the far end refused user and password", "check user and password", false},
}

// Error is one line without the hint.
func (e *PPPDError) Error() string {
	end, known := pppdEnds[e.Code]
	if !known {
		end.words = fmt.Sprintf("it ended with status %d", e.Code)
		if e.Code < 0 {
			end.words = "it was killed, or didn't run"
		}
	}
	s := "link: pppd: " + end.words
	if e.Peer != "" {
		s += fmt.Sprintf(": it says %q", e.Peer)
	} else if e.Why != "" {
		s += fmt.Sprintf(" (%q)", e.Why)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *PPPDError) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *PPPDError) Advice() string { return e.Hint }

// pppdFailure makes an error of how pppd's process ended and what it had said.
func pppdFailure(ended error, said pppdLog, cause error) *PPPDError {
	e := &PPPDError{Code: -1, Why: said.why, Peer: said.peer, Temporary: true, Err: cause}
	var exit *exec.ExitError
	switch {
	case ended == nil:
		e.Code = 0
	case errors.As(ended, &exit) && exit.Exited():
		e.Code = exit.ExitCode()
	default: // a signal, or it didn't run
		e.Err = errors.Join(cause, ended)
	}
	if said.refused { // a provider who then hangs up at once gives it no time to say so
		e.Code, e.Err = authRefused, nil
	}
	if end, known := pppdEnds[e.Code]; known {
		e.Temporary, e.Hint = end.temporary, end.hint
	}
	return e
}
