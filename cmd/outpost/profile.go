package main

import (
	"path/filepath"
	"time"

	"outpost/internal/config"
	"outpost/modem"
)

// profileOf makes a modem's profile of a checked configuration.
func profileOf(m config.Modem) modem.Profile {
	p := modem.Profile{
		Name: m.Name, DialPrefix: m.DialPrefix, DialSuffix: m.DialSuffix,
		DialTimeout:    seconds(m.DialTimeoutSeconds),
		CommandTimeout: seconds(m.CommandTimeoutSeconds),
		AbortTimeout:   seconds(m.AbortTimeoutSeconds),
		GuardTime:      milliseconds(m.GuardTimeMS),
		DTRTimeout:     milliseconds(m.DTRTimeoutMS),
		DTRPulse:       milliseconds(m.DTRPulseMS),
		IgnoreDCD:      m.IgnoreDCD,
		Results:        results(m),
		Codes:          m.Codes,
		Init:           steps(m.Init),
		Network: modem.Network{
			SIM: m.Network.SIM, Attach: steps(m.Network.Attach), Registration: m.Network.Registration,
			Wait: seconds(m.Network.WaitSeconds), Signal: m.Network.Signal, Operator: m.Network.Operator,
		},
	}
	for _, by := range m.Hangup {
		switch by {
		case config.HangupDTR:
			p.HangupBy = append(p.HangupBy, modem.HangupDTR)
		case config.HangupEscape:
			p.HangupBy = append(p.HangupBy, modem.HangupEscape)
		}
	}
	if m.EscapeChar != "" {
		p.EscapeChar = m.EscapeChar[0]
	}
	return p
}

// mobile gives a profile what the line says of its SIM card and its network. What a card
// has refused is kept where it outlives a restart, one record for each line.
func mobile(cfg *config.Config, l config.Line, p *modem.Profile) {
	n := &p.Network
	n.PIN, n.MinSignal, n.HomeOnly = l.PIN, l.MinSignal, !*l.Roaming
	if l.PIN != "" {
		n.PINs = modem.NewPINRecord(filepath.Join(cfg.Storage.Dir, "refused-pin."+fileName(l.Name)))
	}
}

// fileName makes a line's name one that a file may have.
func fileName(name string) string {
	safe := []byte(name)
	for i, b := range safe {
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-') {
			safe[i] = '_'
		}
	}
	return string(safe)
}

// results is the command body that settles the dialect of result codes, "" when the
// profile leaves it to its steps.
func results(m config.Modem) string {
	level := "X4" // tells BUSY, NO DIALTONE, DELAYED and BLACKLISTED apart
	if m.XLevel != nil {
		level = "X" + string(rune('0'+*m.XLevel))
	}
	switch m.Results {
	case config.ResultsVerbose:
		return "V1" + level
	case config.ResultsNumeric:
		return "V0" + level
	}
	return ""
}

func steps(list []config.ModemStep) (steps []modem.Step) {
	for _, s := range list {
		steps = append(steps, modem.Step{Send: s.Send, Expect: s.Expect, Timeout: seconds(s.TimeoutSeconds), Optional: s.Optional})
	}
	return steps
}

func loginOf(l config.Line) modem.Login {
	login := modem.Login{Abort: l.LoginAbort}
	for _, s := range l.LoginSteps() {
		login.Steps = append(login.Steps, modem.LoginStep{
			Expect: s.Expect, Send: s.Send, NoReturn: s.NoReturn, Timeout: seconds(s.TimeoutSeconds),
		})
	}
	return login
}

// secretsOf are the texts that must not show: secret commands and log-in steps, and the
// password where a log-in sends it. (The modem knows itself that a PIN is one.)
func secretsOf(m config.Modem, l config.Line) (secrets []string) {
	for _, s := range append(append([]config.ModemStep(nil), m.Init...), m.Network.Attach...) {
		if s.Secret {
			secrets = append(secrets, s.Send)
		}
	}
	for _, s := range l.LoginSteps() {
		if s.Secret {
			secrets = append(secrets, s.Send)
		}
	}
	if len(l.Login) > 0 {
		secrets = append(secrets, l.Password)
	}
	return secrets
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }
