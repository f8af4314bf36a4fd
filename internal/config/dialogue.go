package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// What a profile's steps, a number and a log-in may refer to, each in braces.
var (
	modemPlaceholders  = []string{"{apn}", "{pdp_type}", "{cid}", "{country}", "{volume}", "{speaker}"}
	numberPlaceholders = []string{"{cid}"}
	loginPlaceholders  = []string{"{user}", "{password}"}
)

var (
	placeholder = regexp.MustCompile(`\{[a-z_]+\}`)
	accessPoint = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	pinDigits   = regexp.MustCompile(`^[0-9]{4,8}$`)
	countryCode = regexp.MustCompile(`^[0-9A-Fa-f]{2}$`)
)

func placeholders(s string) []string { return placeholder.FindAllString(s, -1) }

// The words of a line's volume, and the M and L commands they mean.
var volumes = map[string]struct{ speaker, volume string }{
	"off": {"0", "0"}, "low": {"1", "1"}, "medium": {"1", "2"}, "high": {"1", "3"},
}

// filled puts what the line says into the profile's steps. A step that refers to what
// the line does not say is left out: the modem keeps its own.
func (m Modem) filled(l Line) Modem {
	v := volumes[l.Volume]
	values := map[string]string{
		"{apn}": l.APN, "{pdp_type}": l.PDPType, "{cid}": strconv.Itoa(l.CID),
		"{country}": strings.ToUpper(l.Country), "{volume}": v.volume, "{speaker}": v.speaker,
	}
	fill := func(steps []ModemStep) (filled []ModemStep) {
		for _, s := range steps {
			if strings.Contains(s.Send, "{country}") && isCommand(l.Country) {
				s.Send = l.Country
			}
			missing := false
			s.Send = placeholder.ReplaceAllStringFunc(s.Send, func(name string) string {
				missing = missing || values[name] == ""
				return values[name]
			})
			if !missing {
				filled = append(filled, s)
			}
		}
		return filled
	}
	m.Init, m.Network.Attach = fill(m.Init), fill(m.Network.Attach)
	return m
}

// Dialled is the numbers of the line in the order in which they are tried.
func (l Line) Dialled() []string {
	numbers := l.Numbers
	if l.Number != "" {
		numbers = append([]string{l.Number}, l.Numbers...)
	}
	dialled := make([]string, 0, len(numbers))
	for _, n := range numbers {
		dialled = append(dialled, strings.ReplaceAll(n, "{cid}", strconv.Itoa(l.CID)))
	}
	return dialled
}

// LoginSteps is the log-in in text with user and password filled in. A step that holds
// the password is secret.
func (l Line) LoginSteps() []LoginStep {
	steps := make([]LoginStep, 0, len(l.Login))
	for _, s := range l.Login {
		s.Secret = s.Secret || strings.Contains(s.Send, "{password}")
		s.Send = placeholder.ReplaceAllStringFunc(s.Send, func(name string) string {
			switch name {
			case "{user}":
				return l.User
			case "{password}":
				return l.Password
			}
			return name
		})
		steps = append(steps, s)
	}
	return steps
}

// checkDialogue checks what a line says to its modem and to the far end.
func (l Line) checkDialogue(where string, f *Faults) {
	if len(l.Dialled()) == 0 {
		f.add(where+".number", "", "name the number to dial, such as 0,5551234 or *99#")
	}
	for i, n := range append([]string{l.Number}, l.Numbers...) {
		if n == "" && i == 0 {
			continue
		}
		if n == "" || strings.ContainsFunc(n, notPrintable) || strings.HasSuffix(n, ";") {
			f.add(where+".number", quote(n), "must be a number to dial, such as 0,5551234 or *99#, without a semicolon at its end, which makes a voice call")
		}
		for _, name := range placeholders(n) {
			oneOf(f, where+".number", name, numberPlaceholders...)
		}
	}
	if l.APN != "" && !accessPoint.MatchString(l.APN) {
		f.add(where+".apn", quote(l.APN), "must be the operator's access point name, such as internet or data.operator.example")
	}
	oneOf(f, where+".pdp_type", l.PDPType, "IP", "IPV4V6")
	between(f, where+".cid", l.CID, 1, 16)
	if l.PIN != "" && !pinDigits.MatchString(l.PIN) {
		f.add(where+".pin", "", "must be 4 to 8 digits")
	}
	between(f, where+".minimum_signal", l.MinSignal, 0, 31)
	if l.Country != "" && !countryCode.MatchString(l.Country) && !isCommand(l.Country) {
		f.add(where+".country", quote(l.Country), "must be the country's two hexadecimal digits of ITU-T T.35, such as B5, or an AT command")
	}
	if l.Volume != "" {
		oneOf(f, where+".volume", l.Volume, "off", "low", "medium", "high")
	}
	l.checkLogin(where, f)
}

// maxLoginText bounds what a log-in waits for.
const maxLoginText = 200

func (l Line) checkLogin(where string, f *Faults) {
	for i, s := range l.Login {
		at := fmt.Sprintf("%s.login %d", where, i+1)
		if s.Expect == "" && s.Send == "" {
			f.add(at, "", "needs expect, send or both")
		}
		if len(s.Expect) > maxLoginText {
			f.add(at+".expect", "", "must be at most %d octets: a prompt's last word will do", maxLoginText)
		}
		between(f, at+".timeout_seconds", s.TimeoutSeconds, 0, maxSeconds)
		for _, name := range placeholders(s.Send) {
			oneOf(f, at+".send", name, loginPlaceholders...)
			if name == "{user}" && l.User == "" || name == "{password}" && l.Password == "" {
				f.add(at+".send", name, "the line has none")
			}
		}
	}
	for _, a := range l.LoginAbort {
		if a == "" || len(a) > maxLoginText {
			f.add(where+".login_abort", quote(a), "must be a text of 1 to %d octets", maxLoginText)
		}
	}
	if len(l.LoginAbort) > 0 && len(l.Login) == 0 {
		f.add(where+".login_abort", "", "goes with [[line.login]]")
	}
}

// checkUse finds what a line says and its modem's profile has no use for: it would be
// passed over silently.
func (l Line) checkUse(where string, m Modem, f *Faults) {
	uses := func(name string) bool {
		for _, s := range append(append([]ModemStep(nil), m.Init...), m.Network.Attach...) {
			if strings.Contains(s.Send, name) {
				return true
			}
		}
		return false
	}
	for _, k := range []struct {
		key         string
		said, taken bool
	}{
		{"apn", l.APN != "", uses("{apn}")},
		{"country", l.Country != "", uses("{country}")},
		{"volume", l.Volume != "", uses("{volume}") || uses("{speaker}")},
		{"pin", l.PIN != "", m.Network.SIM},
		{"roaming", l.Roaming != nil && !*l.Roaming, len(m.Network.Registration) > 0},
		{"minimum_signal", l.MinSignal > 0, m.Network.Signal != ""},
	} {
		if k.said && !k.taken {
			f.add(where+"."+k.key, "", "the modem profile %s has no use for it: choose another, or add it to one of your own", l.Modem)
		}
	}
}
