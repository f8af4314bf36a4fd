package modemtest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// settings is what AT commands change and ATZ puts back.
type settings struct {
	echo     bool
	verbose  bool
	quiet    bool
	x        int // ATX
	carrier  int // AT&C: 0 DCD always on, 1 DCD follows the carrier
	terminal int // AT&D: what DTR going low does
	regs     [256]byte
}

// The registers in use.
const (
	regEscape = 2  // the escape character
	regCR     = 3  // ends a command line
	regBS     = 5  // edits a command line
	regGuard  = 12 // guard time in 1/50 s
)

// maxCommands bounds the lists of Counters.
const maxCommands = 256

// reset puts everything back as switched on.
func (m *Modem) reset() {
	m.set = settings{echo: m.opt.Echo, verbose: true, x: 4, carrier: 1, terminal: 2}
	m.mob.errors = 0
	m.set.regs = [256]byte{regEscape: '+', regCR: '\r', 4: '\n', regBS: '\b', 7: 60, 10: 14, regGuard: 50, 25: 5}
	for rest := m.opt.PowerUp; rest != ""; {
		c, after, ok := cutCommand(rest)
		if !ok {
			return
		}
		m.basic(c)
		rest = after
	}
}

// guard is the silence around +++.
func (s *settings) guard() time.Duration {
	return time.Duration(s.regs[regGuard]) * 20 * time.Millisecond
}

// run carries out the body of a command line.
func (m *Modem) run(body string) {
	m.last = body
	m.count.Commands = remember(m.count.Commands, body)
	if m.opt.RefuseLine != "" && strings.EqualFold(body, m.opt.RefuseLine) {
		m.result("ERROR")
		return
	}
	for rest := strings.TrimSpace(body); rest != ""; {
		c, after, ok := cutCommand(rest)
		if !ok || m.refused(c) {
			m.result("ERROR")
			return
		}
		switch c.name {
		case "D":
			m.dial(c.arg)
			return
		case "O":
			m.online()
			return
		case "A":
			m.result("NO CARRIER") // nobody calls this modem
			return
		case "Z":
			m.hangUpCommand()
			m.reset()
			m.result("OK") // and the rest of the line is ignored: ITU-T V.250 §6.1.1
			return
		case "H":
			m.hangUpCommand()
		default:
			fault, known := m.asked(c)
			if !known && !m.basic(c) {
				fault = "ERROR"
			}
			if fault != "" {
				m.result(fault)
				return
			}
		}
		rest = strings.TrimLeft(after, " ;")
	}
	m.result("OK")
}

// remember adds to a list that is bounded.
func remember(list []string, s string) []string {
	if len(list) >= maxCommands {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, s)
}

func (m *Modem) refused(c command) bool {
	return slices.ContainsFunc(m.opt.Refuse, func(r string) bool {
		return strings.HasPrefix(c.text(), strings.ToUpper(r))
	})
}

// basic carries out what neither dials nor hangs up.
func (m *Modem) basic(c command) bool {
	s := &m.set
	switch c.name {
	case "E":
		s.echo = c.num != 0
	case "V":
		s.verbose = c.num != 0
	case "Q":
		s.quiet = c.num != 0
	case "X":
		s.x = c.num
		return c.num <= 4
	case "&C":
		s.carrier = c.num
		return c.num <= 1
	case "&D":
		s.terminal = c.num
		return c.num <= 3
	case "&F":
		m.reset()
	case "I":
		m.info("Outpost test modem 33600")
	case "S":
		return m.register(c)
	case "L", "M", "P", "T", "&K", "&R", "&S", "&W":
		return true
	default:
		return m.extended(c)
	}
	return true
}

func (m *Modem) register(c command) bool {
	if c.num > 255 {
		return false
	}
	switch c.op {
	case '?':
		v := itoa(int(m.set.regs[c.num]))
		m.info("000"[len(v):] + v) // three digits: ITU-T V.250 §5.3.2
	case '=':
		v, err := strconv.Atoi(c.arg)
		if err != nil || v > 255 {
			return false
		}
		m.set.regs[c.num] = byte(v)
	}
	return true
}

// extended knows what GSM, LTE and satellite profiles say; the rest is an ERROR.
func (m *Modem) extended(c command) bool {
	switch c.name {
	case "+CBST", "+CR", "+IFC", "+FCLASS", "+GCI":
		return c.op == '=' && c.arg != ""
	case "+GMI":
		m.info("Outpost")
	default:
		return slices.ContainsFunc(m.opt.Accept, func(a string) bool {
			return strings.HasPrefix(c.text(), strings.ToUpper(a))
		})
	}
	return true
}

// say writes a line in the command state.
func (m *Modem) say(line string) {
	if m.mode == online || m.set.quiet {
		return
	}
	if code := m.code(line); !m.set.verbose && code != line {
		m.send(code + string(m.set.regs[regCR]))
		return
	}
	m.info(line)
}

// info writes an information line: ITU-T V.250 §5.7.1.
func (m *Modem) info(line string) {
	if m.set.verbose {
		m.send(m.opt.LineEnd)
	}
	m.send(line + m.opt.LineEnd)
}

// result writes a result code as V, Q and X have it: ITU-T V.250 §5.7.1.
func (m *Modem) result(code string) {
	for _, u := range m.opt.Unsolicited {
		m.say(u)
	}
	code = m.set.dialect(code)
	text := m.opt.LineEnd + code + m.opt.LineEnd
	if !m.set.verbose {
		text = m.code(code) + string(m.set.regs[regCR])
	}
	if m.set.quiet {
		return
	}
	m.send(text)
	if m.opt.EchoTwice {
		m.send(text)
	}
}

// dialect is what a lower X level makes of a code: ITU-T V.250 §6.2.7 in short.
// X0 knows no rate, only X3 and X4 a busy tone, only X2 and X4 a dial tone, and DELAYED
// and BLACKLISTED are plain errors below X4.
func (s *settings) dialect(code string) string {
	switch {
	case strings.HasPrefix(code, "CONNECT") && s.x == 0:
		return "CONNECT"
	case code == "BUSY" && s.x < 3, strings.HasPrefix(code, "NO DIAL") && s.x != 2 && s.x != 4:
		return "NO CARRIER"
	case s.x < 4 && (strings.HasPrefix(code, "DELAYED") || strings.HasPrefix(code, "BLACKLIST")):
		return "ERROR"
	}
	return code
}

// code is the numeric form of a code, the maker's own first.
func (m *Modem) code(code string) string {
	if own, ok := m.opt.Numeric[code]; ok {
		return own
	}
	return number(code)
}

// number is the numeric form of a code (V0): those on which modems agree, and RINGING.
func number(code string) string {
	numbers := map[string]string{
		"OK": "0", "RING": "2", "NO CARRIER": "3", "ERROR": "4", "CONNECT 1200": "5",
		"NO DIALTONE": "6", "NO DIAL TONE": "6", "BUSY": "7", "NO ANSWER": "8", "CONNECT 2400": "10", "RINGING": "11",
	}
	if n, ok := numbers[code]; ok {
		return n
	}
	if strings.HasPrefix(code, "CONNECT") {
		return "1"
	}
	return code
}
