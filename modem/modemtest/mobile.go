package modemtest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// SIM is the card of a mobile modem. The zero value is one that is open.
type SIM struct {
	PIN     string        // "": the card wants none
	Tries   int           // wrong PINs that it takes before it wants its PUK; 0: 3
	Wanted  string        // what AT+CPIN? says whatever happens, as "PH-NET PIN"; "": as it is
	Missing bool          // there is no card
	Busy    time.Duration // from switching on, and from the right PIN, until it is ready
	NoCPINR bool          // the modem does not know +CPINR
}

// Registered is a state of the registration and when it begins, counted from when the SIM
// card was ready. State is <stat> of 3GPP TS 27.007 §7.2: 2 searching, 1 home, 5 roaming.
type Registered struct {
	After time.Duration
	State int
}

// mobile is what changes in the mobile part while the modem runs.
type mobile struct {
	since    time.Time // the SIM card is open since then, or was switched on then
	open     bool      // it has its PIN
	left     int       // tries; 0: it wants its PUK
	entered  int       // PINs it was given
	contexts map[string]string
	errors   int // +CMEE
}

func (m *Modem) resetMobile() {
	m.mob = mobile{since: time.Now(), open: m.opt.SIM.PIN == "", left: m.opt.SIM.Tries, contexts: make(map[string]string)}
	if m.mob.left == 0 {
		m.mob.left = 3
	}
}

// equipment is an error of the mobile equipment, as +CMEE has it (TS 27.007 §9.1).
func (m *Modem) equipment(number, words string) string {
	switch m.mob.errors {
	case 1:
		return "+CME ERROR: " + number
	case 2:
		return "+CME ERROR: " + words
	}
	return "ERROR"
}

// simFault is why the card cannot be used now, "" if it can.
func (m *Modem) simFault() string {
	s := m.opt.SIM
	switch {
	case s.Missing:
		return m.equipment("10", "SIM not inserted")
	case m.mob.left == 0:
		return m.equipment("12", "SIM PUK required")
	case !m.mob.open:
		return m.equipment("11", "SIM PIN required")
	case time.Since(m.mob.since) < s.Busy:
		return m.equipment("14", "SIM busy")
	}
	return ""
}

// pin is AT+CPIN? and AT+CPIN="....".
func (m *Modem) pin(c command) string {
	s := m.opt.SIM
	switch {
	case s.Missing:
		return m.equipment("10", "SIM not inserted")
	case c.op == '?' && s.Wanted != "":
		m.info("+CPIN: " + s.Wanted)
	case c.op == '?' && m.mob.left == 0:
		m.info("+CPIN: SIM PUK")
	case c.op == '?' && !m.mob.open:
		m.info("+CPIN: SIM PIN")
	case time.Since(m.mob.since) < s.Busy:
		return m.equipment("14", "SIM busy")
	case c.op == '?':
		m.info("+CPIN: READY")
	case m.mob.open:
		return m.equipment("3", "operation not allowed")
	case m.mob.left == 0:
		return m.equipment("12", "SIM PUK required")
	default:
		m.mob.entered++
		if strings.Trim(c.arg, `"`) != s.PIN {
			m.mob.left--
			return m.equipment("16", "incorrect password")
		}
		m.mob.open, m.mob.since = true, time.Now()
	}
	return ""
}

// registration is <stat> now.
func (m *Modem) registration() int {
	if m.simFault() != "" {
		return 0
	}
	state := 1
	if len(m.opt.Registration) > 0 {
		state = 2
	}
	ready := m.mob.since.Add(m.opt.SIM.Busy)
	for _, r := range m.opt.Registration {
		if time.Since(ready) >= r.After {
			state = r.State
		}
	}
	return state
}

// asked answers the commands of 3GPP TS 27.007, and those by which Iridium differs. The
// fault is the result code in place of OK; known is false for other commands.
func (m *Modem) asked(c command) (fault string, known bool) {
	switch c.name {
	case "+CMEE":
		if n, err := strconv.Atoi(c.arg); err == nil {
			m.mob.errors = n
		}
	case "+CPIN":
		return m.pin(c), true
	case "+CPINR":
		if m.opt.SIM.NoCPINR {
			return "ERROR", true
		}
		m.info("+CPINR: SIM PIN," + itoa(m.mob.left) + ",3")
	case "+CREG", "+CGREG", "+CEREG":
		if c.op == '?' {
			m.info(m.answer(c.name, 0, m.registration()))
		}
	case "+CSQ", "+CSQF":
		m.info(c.name + m.colon() + m.opt.Signal)
	case "+COPS":
		m.operator()
	case "+CGDCONT":
		return m.context(c), true
	default:
		return "", false
	}
	return "", true
}

// answer is an information line with numbers, in the maker's manner.
func (m *Modem) answer(name string, numbers ...int) string {
	line := name + m.colon()
	for i, n := range numbers {
		if i > 0 {
			line += ","
		}
		text := itoa(n)
		if m.opt.Compact {
			text = "000"[min(3, len(text)):] + text
		}
		line += text
	}
	return line
}

func (m *Modem) colon() string {
	if m.opt.Compact {
		return ":"
	}
	return ": "
}

func (m *Modem) operator() {
	if s := m.registration(); m.opt.Operator == "" || s != 1 && s != 5 {
		m.info("+COPS: 0")
		return
	}
	m.info(`+COPS: 0,0,"` + m.opt.Operator + `",7`)
}

// context defines and shows packet data contexts (TS 27.007 §10.1.1).
func (m *Modem) context(c command) string {
	if fault := m.simFault(); fault != "" {
		return fault
	}
	if c.op == '?' {
		var ids []string
		for id := range m.mob.contexts {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			m.info("+CGDCONT: " + id + "," + m.mob.contexts[id])
		}
		return ""
	}
	id, what, _ := strings.Cut(c.arg, ",")
	if len(m.mob.contexts) >= 16 || len(id) > 2 || id == "" {
		return "ERROR"
	}
	m.mob.contexts[id] = what
	return ""
}

// reaches says whether the network serves a call to number: only a registered modem, and
// packet data (*99#, *99***1#) only through the access point that the options name.
func (m *Modem) reaches(number string) bool {
	if s := m.registration(); s != 1 && s != 5 {
		return false
	}
	rest, packet := strings.CutPrefix(strings.TrimLeft(number, "TtPp"), "*99")
	if !packet || m.opt.APN == "" {
		return true
	}
	id := strings.Trim(rest, "*#")
	if id == "" {
		id = "1"
	}
	return strings.Contains(m.mob.contexts[id], `"`+m.opt.APN+`"`)
}
