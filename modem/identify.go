package modem

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Identity is what a modem says that it is.
type Identity struct {
	Maker  string   `json:"maker,omitempty"` // of AT+GMI or AT+CGMI; "": it doesn't say
	Model  string   `json:"model,omitempty"` // of AT+GMM or AT+CGMM
	Says   []string `json:"says,omitempty"`  // the lines of ATI and ATI3, each once
	Mobile bool     `json:"mobile"`          // it takes the commands of mobile telephones (3GPP TS 27.007)
	// Profile is the name of the profile that fits best: courier, gsm, iridium or generic.
	Profile string `json:"profile"`
}

// String is the modem in one line, for a person.
func (id Identity) String() string {
	if s := strings.TrimSpace(id.Maker + " " + id.Model); s != "" {
		return s
	}
	for _, s := range id.Says {
		if strings.ContainsAny(asciiUpper(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") { // not a mere product number
			return s
		}
	}
	return "a modem that doesn't say its name"
}

const (
	// hailWait is for the answer to a bare command of a modem that is there and has the
	// rate: most take 0.1 s, a mobile one that is starting up up to 0.5.
	hailWait  = 800 * time.Millisecond
	hailTries = 2 // the first may be lost to the modem's detection of the rate
	// questionWait is for one question about itself.
	questionWait = 2 * time.Second
	// maxSays bounds what is kept of the answers, maxWord the length of each.
	maxSays = 12
	maxWord = 80
)

// Identify asks the modem what it is. It sends nothing that dials, resets or stores
// anything; result codes are words and echo is off afterwards. The error is as Init's:
// a *CommandError with Timeout is a modem that does not answer. What it says after that is
// taken as far as it goes.
func (m *Modem) Identify(ctx context.Context) (Identity, error) {
	ctx, leave, err := m.enter(ctx)
	if err != nil {
		return Identity{}, err
	}
	defer leave()
	m.setDTR(true)
	if err := m.hail(ctx); err != nil {
		return Identity{}, err
	}
	id := m.interview(ctx)
	id.Profile = fittingProfile(id)
	return id, ctx.Err()
}

// hail finds out whether there is a modem.
func (m *Modem) hail(ctx context.Context) error {
	m.dialect = unknown
	var err error
	for range hailTries {
		var r reply
		if r, err = m.command(ctx, "ATQ0E0V1", hailWait, onCommand); err == nil && r.result == OK {
			return nil
		}
		if err == nil {
			err = m.refused("ATQ0E0V1", r)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// interview asks what there is to ask. The commands of ITU-T V.250 §6.1 come before
// those of mobiles, which know both.
func (m *Modem) interview(ctx context.Context) (id Identity) {
	ask := func(cmd string) []string {
		r, err := m.command(ctx, cmd, questionWait, onCommand)
		if err != nil || r.result != OK {
			return nil
		}
		var said []string
		for _, line := range r.info {
			if line = tidy(cmd, line); line != "" {
				said = append(said, line)
			}
		}
		return said
	}
	for _, cmd := range []string{"ATI", "ATI3"} {
		for _, line := range ask(cmd) {
			if len(id.Says) < maxSays && !slices.Contains(id.Says, line) {
				id.Says = append(id.Says, line)
			}
		}
	}
	first := func(said []string, so string) string {
		if so == "" && len(said) > 0 {
			return said[0]
		}
		return so
	}
	id.Maker, id.Model = first(ask("AT+GMI"), ""), first(ask("AT+GMM"), "")
	maker, model := ask("AT+CGMI"), ask("AT+CGMM")
	id.Mobile = len(maker)+len(model) > 0
	id.Maker, id.Model = first(maker, id.Maker), first(model, id.Model)
	return id
}

// tidy makes of a line of an answer what is worth showing: without the command's own
// name before it and the quotes of some.
func tidy(cmd, line string) string {
	if name, ok := strings.CutPrefix(cmd, "AT+"); ok {
		line = strings.TrimPrefix(line, "+"+name+":")
	}
	line = printable(strings.Trim(strings.TrimSpace(line), `"`))
	if len(line) > maxWord {
		line = strings.ToValidUTF8(line[:maxWord], "")
	}
	return line
}

// fittingProfile chooses among the profiles that come with Outpost.
func fittingProfile(id Identity) string {
	text := asciiUpper(strings.Join(append([]string{id.Maker, id.Model}, id.Says...), "\n"))
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	switch {
	case has("IRIDIUM"):
		return "iridium"
	case has("THURAYA"):
		return "thuraya"
	case has("BGAN", "INMARSAT"):
		return "bgan"
	case id.Mobile:
		return "gsm"
	case has("COURIER", "SPORTSTER", "U.S. ROBOTICS", "US ROBOTICS", "USROBOTICS"):
		return "courier"
	}
	return "generic"
}
