package modem

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.bug.st/serial"
)

// Found is a modem that answered a probe.
type Found struct {
	Identity
	Baud int `json:"baud"` // the rate at which it answered
}

// ErrNoModem says that nothing on a port answers as a modem does.
var ErrNoModem = errors.New("modem: nothing answers")

// probeLimit bounds the probe of one port: six rates at two seconds, and the questions.
const probeLimit = 30 * time.Second

// ProbeBauds are the rates worth trying on a port, the likeliest first: most modems go
// by the rate of the command they get, and what is left are handsets with a fixed 19200
// or 9600 and modems from before. On a port whose rate means nothing there is one.
func (p PortInfo) ProbeBauds() []int {
	if p.OwnRate() {
		return []int{DefaultBaud}
	}
	return []int{DefaultBaud, 19200, 9600, 57600, 38400, 2400}
}

// Probe finds out whether there is a modem on a port, at which of the rates, and what it
// says that it is. open is called for each rate until one is answered; each port it
// gives is closed again, with DTR low. The error is open's, or wraps ErrNoModem, or ctx's. It
// takes half a minute at most.
//
// Whatever is on the port gets to read AT commands, at each of the rates.
func Probe(ctx context.Context, bauds []int, open func(baud int) (serial.Port, error)) (Found, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, fmt.Errorf("not done after %v", probeLimit))
	defer cancel()
	var other string
	for _, baud := range bauds {
		if ctx.Err() != nil {
			return Found{}, fmt.Errorf("%w: %w", ErrNoModem, context.Cause(ctx))
		}
		port, err := open(baud)
		if err != nil {
			return Found{}, err
		}
		m := New(port, Profile{}, Options{})
		up, _ := m.dcd() // a port that fails here fails at the first command too
		id, err := m.Identify(ctx)
		said := heard(m.Transcript())
		_ = m.Close() //nolint:contextcheck // it closes whatever ctx says; a fault of the port has shown by now
		var silent *CommandError
		switch {
		case err == nil:
			return Found{Identity: id, Baud: baud}, nil
		case up == carrierUp:
			return Found{}, fmt.Errorf("%w, and the carrier was up: a call that nobody ended may have been open, and was hung up by DTR", ErrNoModem)
		case !errors.As(err, &silent):
			return Found{}, fmt.Errorf("%w: %w", ErrNoModem, err)
		case said != "":
			other = fmt.Sprintf(": something that is no modem says %q at %d bit/s", said, baud)
		}
	}
	return Found{}, fmt.Errorf("%w%s", ErrNoModem, other)
}

// heard is the last line in a transcript that came and is text, "" when none did.
func heard(transcript string) (said string) {
	for line := range strings.Lines(transcript) {
		if line, ok := strings.CutPrefix(line, "< "); ok && !strings.HasPrefix(line, "(") {
			said = strings.TrimSpace(line)
		}
	}
	return said[:min(len(said), maxWord)]
}
