package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"outpost/configs"
)

// Modem is a modem profile, from configs/modems or a file of the user's. A profile
// speaks of a kind of modem; what belongs to one office (its access point, its SIM card's
// PIN) stands in the line, and the profile's steps refer to it.
type Modem struct {
	Name                  string            `toml:"name"`
	DialPrefix            string            `toml:"dial_prefix"`
	DialSuffix            string            `toml:"dial_suffix"`
	DialTimeoutSeconds    int               `toml:"dial_timeout_seconds"`
	CommandTimeoutSeconds int               `toml:"command_timeout_seconds"`
	AbortTimeoutSeconds   int               `toml:"abort_timeout_seconds"`
	GuardTimeMS           int               `toml:"guard_time_ms"`
	DTRTimeoutMS          int               `toml:"dtr_timeout_ms"`
	DTRPulseMS            int               `toml:"dtr_pulse_ms"`
	Hangup                []string          `toml:"hangup"`
	EscapeChar            string            `toml:"escape_char"`
	IgnoreDCD             bool              `toml:"ignore_dcd"`
	Results               string            `toml:"results"`
	XLevel                *int              `toml:"x_level"`
	Codes                 map[string]string `toml:"numeric_codes"`
	Init                  []ModemStep       `toml:"init"`
	Network               ModemNetwork      `toml:"network"`
}

// ModemNetwork is what a mobile or satellite modem is asked before it dials.
type ModemNetwork struct {
	SIM          bool        `toml:"sim"`
	Attach       []ModemStep `toml:"attach"`
	Registration []string    `toml:"registration"`
	WaitSeconds  int         `toml:"wait_seconds"`
	Signal       string      `toml:"signal"`
	Operator     string      `toml:"operator"`
}

// ModemStep is one command of a modem's initialisation.
type ModemStep struct {
	Send           string `toml:"send"`
	Expect         string `toml:"expect"`
	TimeoutSeconds int    `toml:"timeout_seconds"`
	Optional       bool   `toml:"optional"`
	Secret         bool   `toml:"secret"`
}

// The words of a profile's hangup and results keys.
const (
	HangupDTR      = "dtr"
	HangupEscape   = "escape"
	ResultsVerbose = "verbose"
	ResultsNumeric = "numeric"
)

// Modem gives the profile that a line names, with what the line says filled in.
func (c *Config) Modem(line Line) Modem { return c.profiles[line.Modem].filled(line) }

// readProfiles loads the modem profiles that the lines name: a plain name is
// one of those that come with Outpost, a name with a slash or .toml is a file.
func (c *Config) readProfiles(dir string, faults *Faults) {
	c.profiles = make(map[string]Modem)
	for i, l := range c.Lines {
		if !l.dials() {
			continue
		}
		if _, done := c.profiles[l.Modem]; !done {
			text, err := profileText(dir, l.Modem)
			if err != nil {
				faults.add(l.where(i)+".modem", l.Modem, "%v", err)
				continue
			}
			var m Modem
			decode(text, &m, "modem "+l.Modem+": ", faults)
			m.check("modem "+l.Modem, faults)
			c.profiles[l.Modem] = m
		}
		l.checkUse(l.where(i), c.profiles[l.Modem], faults)
	}
}

func profileText(dir, name string) ([]byte, error) {
	if strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".toml") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return os.ReadFile(name)
	}
	text, err := configs.Modems.ReadFile("modems/" + name + ".toml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no such modem profile; there are %s, or name a .toml file", strings.Join(configs.ModemNames(), ", "))
	}
	return text, err
}

func (m Modem) check(where string, f *Faults) {
	if len(m.Init) == 0 {
		f.add(where, "", "a profile needs at least one [[init]] step, such as send = \"ATZ\"")
	}
	checkSteps(where+": init", m.Init, f)
	checkSteps(where+": network.attach", m.Network.Attach, f)
	for key, n := range map[string]int{"dial_timeout_seconds": m.DialTimeoutSeconds, "command_timeout_seconds": m.CommandTimeoutSeconds,
		"abort_timeout_seconds": m.AbortTimeoutSeconds, "guard_time_ms": m.GuardTimeMS, "dtr_timeout_ms": m.DTRTimeoutMS,
		"dtr_pulse_ms": m.DTRPulseMS, "network.wait_seconds": m.Network.WaitSeconds} {
		between(f, where+"."+key, n, 0, maxSeconds)
	}
	if m.Hangup != nil && len(m.Hangup) == 0 {
		f.add(where+".hangup", "", "name dtr, escape or both, or leave it out: an open line costs money")
	}
	for _, word := range m.Hangup {
		oneOf(f, where+".hangup", word, HangupDTR, HangupEscape)
	}
	if len(m.EscapeChar) > 1 || strings.ContainsFunc(m.EscapeChar, notPrintable) {
		f.add(where+".escape_char", quote(m.EscapeChar), "must be one character, as the modem's S2 has it")
	}
	if m.Results != "" {
		oneOf(f, where+".results", m.Results, ResultsVerbose, ResultsNumeric)
	}
	if m.XLevel != nil {
		between(f, where+".x_level", *m.XLevel, 0, 4)
		if m.Results == "" {
			f.add(where+".x_level", "", "goes with results = \"verbose\" or \"numeric\"")
		}
	}
	for number, word := range m.Codes {
		if number == "" || strings.Trim(number, "0123456789") != "" || word == "" || strings.ContainsFunc(word, notPrintable) {
			f.add(where+".numeric_codes", quote(number), "must be a number with the words it stands for, such as 84 = \"CONNECT 33600\"")
		}
	}
	for key, list := range map[string][]string{"registration": m.Network.Registration, "signal": {m.Network.Signal}, "operator": {m.Network.Operator}} {
		for _, cmd := range list {
			if (cmd != "" || key == "registration") && !isCommand(cmd) {
				f.add(where+".network."+key, quote(cmd), "must be an AT command that asks, such as AT+CREG?")
			}
		}
	}
}

func checkSteps(where string, steps []ModemStep, f *Faults) {
	for i, s := range steps {
		at := fmt.Sprintf("%s %d", where, i+1)
		if s.Send == "" || strings.ContainsFunc(s.Send, notPrintable) {
			f.add(at+".send", quote(s.Send), "must be one AT command")
		}
		for _, name := range placeholders(s.Send) {
			oneOf(f, at+".send", name, modemPlaceholders...)
		}
		between(f, at+".timeout_seconds", s.TimeoutSeconds, 0, maxSeconds)
	}
}

// isCommand says whether s is an AT command line.
func isCommand(s string) bool {
	return len(s) >= 2 && strings.EqualFold(s[:2], "AT") && !strings.ContainsFunc(s, notPrintable)
}

func notPrintable(c rune) bool { return c < ' ' || c >= 0x7f }
