package modem

import (
	"strconv"
	"strings"
)

// registration is what the network makes of the modem: <stat> of +CREG, +CGREG and +CEREG
// (3GPP TS 27.007 §7.2), and what Iridium answers to +CREG.
type registration int

const (
	unasked   registration = iota
	idle                   // 0: not registered and not searching
	unclear                // 4: unknown, out of coverage; and what is not in the standard
	denied                 // 3
	searching              // 2
	limited                // 6 to 8: SMS or emergency calls only
	roaming                // 5, 10
	home                   // 1, 9
)

func (r registration) String() string {
	return [...]string{
		unasked: "not asked", idle: "not registered and not searching", unclear: "out of coverage", denied: "registration denied",
		searching: "searching", limited: "registered, but not for data", roaming: "registered, roaming", home: "registered at home",
	}[r]
}

func (r registration) registered() bool { return r == home || r == roaming }

// rank orders what several domains say: the best of it counts.
func (r registration) rank() int { return int(r) }

// parseRegistration reads a line such as "+CREG: 0,1" or, on Iridium, "+CREG:000,001". An
// unsolicited report has no <n> before the state: "+CREG: 1", "+CREG: 1,"00C3","1A2F"". A
// line of another kind is unasked.
func parseRegistration(line string) registration {
	name, rest, ok := strings.Cut(line, ":")
	switch strings.TrimSpace(asciiUpper(name)) {
	case "+CREG", "+CGREG", "+CEREG":
	default:
		return unasked
	}
	fields := strings.Split(rest, ",")
	state := fields[0]
	if len(fields) > 1 {
		if _, known := digits(fields[1]); known {
			state = fields[1]
		}
	}
	n, known := digits(state)
	if !ok || !known {
		return unasked
	}
	switch n {
	case 0:
		return idle
	case 1, 9:
		return home
	case 2:
		return searching
	case 3:
		return denied
	case 5, 10:
		return roaming
	case 6, 7, 8:
		return limited
	}
	return unclear
}

// digits reads a number of at most four digits, as all of these are.
func digits(s string) (int, bool) {
	s = strings.TrimSpace(s)
	if !isNumber(s) || len(s) > 4 {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// signalUnknown is 99 of +CSQ: not known or not detectable.
const signalUnknown = -1

// parseSignal reads a line such as "+CSQ: 21,99", or "+CSQF:5" on Iridium. It says false
// for a line of another kind.
func parseSignal(line string) (level int, ok bool) {
	name, rest, ok := strings.Cut(line, ":")
	name = strings.TrimSpace(asciiUpper(name))
	if !ok || name != "+CSQ" && name != "+CSQF" {
		return signalUnknown, false
	}
	first, _, _ := strings.Cut(rest, ",")
	n, known := digits(first)
	if !known || n >= 99 {
		return signalUnknown, known
	}
	return n, true
}

// signalIn is the signal among the lines of an answer.
func signalIn(lines []string) (level int, line string) {
	for _, l := range lines {
		if n, ok := parseSignal(l); ok {
			return n, l
		}
	}
	return signalUnknown, ""
}

func levelText(level int) string {
	if level == signalUnknown {
		return "not known"
	}
	return strconv.Itoa(level)
}

// parseOperator reads the name out of a line such as `+COPS: 0,0,"Safaricom",7`, "" when
// there is none. It is cut at 32 octets, twice the long form of TS 27.007 §7.3.
func parseOperator(line string) string {
	name, rest, _ := strings.Cut(line, ":")
	if strings.TrimSpace(asciiUpper(name)) != "+COPS" {
		return ""
	}
	_, rest, quoted := strings.Cut(rest, `"`)
	operator, _, closed := strings.Cut(rest, `"`)
	if !quoted || !closed {
		return ""
	}
	return operator[:min(len(operator), 32)]
}
