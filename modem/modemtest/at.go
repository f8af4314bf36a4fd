package modemtest

import "strings"

// maxLine bounds a command line; ITU-T V.250 §5.2.1 wants at least 40 characters.
const maxLine = 256

// command is one command of a line.
type command struct {
	name string // upper case: "Z", "&C", "S", "D", "+CGDCONT"
	num  int    // the number behind a basic command, 0 when there is none; the register of S
	arg  string // the dial string of D; what follows = in S and extended commands
	op   byte   // 0, '=' or '?' in S and extended commands
}

// text is the command as it might have been typed, for Options.Refuse and Accept.
func (c command) text() string {
	switch {
	case strings.HasPrefix(c.name, "+") && c.op != 0:
		return c.name + string(c.op) + strings.ToUpper(c.arg)
	case strings.HasPrefix(c.name, "+"), c.name == "D":
		return c.name
	}
	return c.name + itoa(c.num)
}

// cutCommand takes the first command off the body of a line (what follows AT). It
// says false when what is there is not one: the line then ends with ERROR, after the
// commands before it were carried out (ITU-T V.250 §5.6).
func cutCommand(body string) (c command, rest string, ok bool) {
	body = strings.TrimLeft(body, " ;")
	if body == "" {
		return command{}, "", false
	}
	switch first := upper(body[0]); {
	case first == '+':
		return cutExtended(body)
	case first == 'D':
		// The dial string reaches to the end of the line (ITU-T V.250 §6.3.1).
		return command{name: "D", arg: strings.TrimSpace(body[1:])}, "", true
	case first == 'S':
		return cutRegister(body[1:])
	case first >= 'A' && first <= 'Z':
		num, rest, ok := cutNumber(body[1:])
		return command{name: string(first), num: num}, rest, ok
	case strings.IndexByte(`&%\*#-^`, first) >= 0 && len(body) > 1 && isLetter(body[1]):
		num, rest, ok := cutNumber(body[2:])
		return command{name: string([]byte{first, upper(body[1])}), num: num}, rest, ok
	}
	return command{}, body, false
}

// cutRegister reads what follows S: "7=60", "7?" or "7".
func cutRegister(s string) (command, string, bool) {
	num, rest, ok := cutNumber(s)
	c := command{name: "S", num: num}
	if !ok || rest == "" {
		return c, rest, ok
	}
	switch rest[0] {
	case '?':
		c.op = '?'
		return c, rest[1:], true
	case '=':
		value, rest, ok := cutNumber(rest[1:])
		c.op, c.arg = '=', itoa(value)
		return c, rest, ok
	}
	return c, rest, true
}

// cutExtended reads +NAME, +NAME?, +NAME=value up to a semicolon outside quotes.
func cutExtended(s string) (command, string, bool) {
	end, quoted := len(s), false
	for i := range len(s) {
		if s[i] == '"' {
			quoted = !quoted
		}
		if s[i] == ';' && !quoted {
			end = i
			break
		}
	}
	text, rest := s[:end], s[min(end+1, len(s)):]
	c := command{}
	if i := strings.IndexAny(text, "=?"); i >= 0 {
		c.op, c.arg, text = text[i], text[i+1:], text[:i]
	}
	c.name = strings.ToUpper(strings.TrimSpace(text))
	return c, rest, len(c.name) > 1 && !quoted
}

// cutNumber reads decimal digits; none mean 0 (ITU-T V.250 §5.3.1).
func cutNumber(s string) (n int, rest string, ok bool) {
	s = strings.TrimLeft(s, " ")
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + int(s[i]-'0')
		if i++; n > 65535 {
			return 0, s, false
		}
	}
	return n, s[i:], true
}

// indexAT finds where a command line begins, -1 if nowhere: the modem hunts for AT, so
// that noise before it does no harm.
func indexAT(line string) int {
	for i := 1; i < len(line); i++ {
		if upper(line[i-1]) == 'A' && upper(line[i]) == 'T' {
			return i - 1
		}
	}
	return -1
}

func upper(b byte) byte {
	if b >= 'a' && b <= 'z' {
		return b - 'a' + 'A'
	}
	return b
}

func isLetter(b byte) bool { b = upper(b); return b >= 'A' && b <= 'Z' }
