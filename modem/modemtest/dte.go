package modemtest

import (
	"strings"
	"time"
)

// mode is what octets from the DTE mean.
type mode int

const (
	commanding mode = iota // command lines; there may be a call (after +++)
	dialling               // any octet stops it
	online                 // data
)

// maxOut bounds what the DTE has not read yet; a UART would overrun long before.
const maxOut = 64 << 10

// escape watches for the escape sequence in the data: guard time, +++, guard time.
type escape struct {
	seen  int       // escape characters so far
	quiet time.Time // when the last octet came
	timer *time.Timer
}

func (e *escape) stop() {
	e.seen = 0
	if e.timer != nil {
		e.timer.Stop()
	}
}

// send queues text for the DTE.
func (m *Modem) send(s string) {
	if m.handles == 0 || len(m.out)+len(s) > maxOut {
		return
	}
	m.out = append(m.out, s...)
	m.toHost.wake()
}

// take gives octets of the DTE to the modem; it returns how many it took and, when
// it took none, when to try again (zero: when something changes).
func (m *Modem) take(p []byte, now time.Time) (int, time.Time) {
	if m.opt.HoldCTS {
		return 0, time.Time{}
	}
	if m.mode == online {
		n := m.call.up.write(p, now)
		if n == 0 {
			return 0, m.call.up.roomAt(now, len(p))
		}
		m.watchEscape(p[:n], now)
		c := m.call
		c.toFar.wake()
		c.schedule(now)
		return n, time.Time{}
	}
	for i, b := range p {
		m.typed(b)
		if m.mode == online {
			return i + 1, time.Time{}
		}
	}
	return len(p), time.Time{}
}

// typed handles an octet outside the data phase.
func (m *Modem) typed(b byte) {
	if !m.dtr && m.set.terminal >= 2 && !m.opt.IgnoreDTR {
		return // a modem held down by DTR does not listen
	}
	afterCR := m.lastCR
	m.lastCR = false
	if b == '\n' && afterCR {
		return // the second half of a line end is no keystroke
	}
	if m.mode == dialling {
		if !m.opt.IgnoreAbort {
			m.stopDialling()
			m.result("NO CARRIER") // ITU-T V.250 §5.6.1
		}
		return
	}
	if m.set.echo {
		m.echo(b)
	}
	switch {
	case b == m.set.regs[regCR]:
		m.lastCR = true
		line, long := string(m.line), m.long
		m.line, m.long = m.line[:0], false
		m.entered(line, long)
	case b == m.set.regs[regBS]:
		m.line = m.line[:max(0, len(m.line)-1)]
	case b == '/' && len(m.line) > 0 && strings.EqualFold(string(m.line[len(m.line)-1:]), "A"):
		m.line = m.line[:0]
		m.run(m.last) // A/ needs no CR: ITU-T V.250 §5.2.4
	case len(m.line) < maxLine:
		m.line = append(m.line, b)
	default:
		m.long = true
	}
}

// echo gives an octet back, with a line of the modem's own in the middle where the
// options want it.
func (m *Modem) echo(b byte) {
	m.send(string([]byte{b}))
	if m.echoed++; m.echoed == m.opt.EchoBreak && len(m.opt.Unsolicited) > 0 {
		m.say(m.opt.Unsolicited[0])
	}
	if b == m.set.regs[regCR] {
		m.echoed = 0
	}
}

// entered handles a whole line. One without AT is no command and gets no answer.
func (m *Modem) entered(line string, long bool) {
	i := indexAT(line)
	switch {
	case i < 0:
	case long:
		m.result("ERROR")
	default:
		m.run(line[i+2:])
	}
}

// dial begins a call: ITU-T V.250 §6.3.1.
func (m *Modem) dial(number string) {
	m.count.Dials++
	m.count.Numbers = remember(m.count.Numbers, number)
	if m.call != nil || number == "" {
		m.result("ERROR")
		return
	}
	answer := m.nextAnswer(number)
	m.mode = dialling
	m.attempt++
	attempt := m.attempt
	if m.opt.DialTime <= 0 {
		m.answered(answer)
		return
	}
	m.dialing = time.AfterFunc(m.opt.DialTime, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.attempt == attempt && m.mode == dialling && !m.closed {
			m.answered(answer)
		}
	})
}

// nextAnswer is what this dial will end with.
func (m *Modem) nextAnswer(number string) string {
	if a, ok := m.opt.ByNumber[strings.TrimLeft(number, "TtPp")]; ok {
		return a
	}
	switch {
	case len(m.opt.Answers) > 0:
		answer := m.opt.Answers[0]
		m.opt.Answers = m.opt.Answers[1:]
		return answer
	case !m.reaches(number):
		return "NO CARRIER"
	}
	return m.opt.Answer
}

// stopDialling puts the modem on-hook without a word.
func (m *Modem) stopDialling() {
	if m.dialing != nil {
		m.dialing.Stop()
	}
	if m.mode == dialling {
		m.mode = commanding
		m.attempt++
	}
}

func (m *Modem) answered(answer string) {
	lines := strings.Split(answer, "\n")
	for _, l := range lines[:len(lines)-1] {
		m.say(l)
	}
	last := lines[len(lines)-1]
	switch {
	case last == "SILENCE":
	case last == "GARBAGE":
		m.send("\xff\x00~\x87}#\xc0!\r\n\xfe\xf7NO C\x01\r~~\x8d")
	case last == "" || strings.HasPrefix(last, "CONNECT"):
		m.connect(last)
	default:
		m.mode = commanding
		m.result(last)
	}
}

func (m *Modem) connect(line string) {
	if line == "" {
		line = m.opt.ConnectLine
	}
	if line == "" {
		line = "CONNECT"
		if m.opt.Down > 0 {
			line += " " + itoa(m.opt.Down)
		}
	}
	now := time.Now()
	m.result(line)
	for _, l := range m.opt.After {
		m.info(l)
	}
	m.mode = online
	m.esc = escape{quiet: now, timer: m.esc.timer}
	m.call = m.newCall(now)
	m.count.Connects++
	m.waiting = append(m.waiting, &farEnd{m.call})
	if len(m.waiting) > maxWaiting {
		m.waiting = m.waiting[1:]
	}
	m.accept.wake()
}

// online goes back to the data phase (ATO).
func (m *Modem) online() {
	if m.call == nil {
		m.result("NO CARRIER")
		return
	}
	m.result("CONNECT")
	m.mode = online
	m.esc.quiet = time.Now()
	m.toHost.wake()
}

// watchEscape looks for guard time, +++, guard time in what the DTE sends. The
// octets go to the far end all the same, as they do in practice.
func (m *Modem) watchEscape(p []byte, now time.Time) {
	e, char := &m.esc, m.set.regs[regEscape]
	quiet := now.Sub(e.quiet) >= m.set.guard()
	e.quiet = now
	if e.timer != nil {
		e.timer.Stop()
	}
	for i, b := range p {
		if b != char || e.seen >= 3 || (e.seen == 0 && (i > 0 || !quiet)) {
			e.seen = 0
			if len(p) > 3 {
				return
			}
			continue
		}
		e.seen++
	}
	if e.seen != 3 || m.opt.IgnoreEscape || char > 127 {
		return
	}
	c := m.call
	e.timer = time.AfterFunc(m.set.guard(), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if now := m.now(); m.call == c && m.mode == online && e.seen == 3 {
			m.leaveData(now)
			m.result("OK")
		}
	})
}

// leaveData ends the data phase, not the call: what has arrived is for the DTE.
func (m *Modem) leaveData(now time.Time) {
	if m.mode != online {
		return
	}
	m.hand(now)
	m.mode = commanding
	m.line, m.long = m.line[:0], false
	m.esc.stop()
}

// hand moves what has arrived from the line into the DTE's queue.
func (m *Modem) hand(now time.Time) {
	unread := int(m.call.down.written - m.call.down.taken)
	buf := make([]byte, min(unread, maxOut-len(m.out)))
	n := m.call.down.read(buf, now)
	m.send(string(buf[:n]))
}

// hangUpCommand is ATH and the first half of ATZ.
func (m *Modem) hangUpCommand() {
	if m.call != nil && !m.opt.IgnoreHangup {
		m.endCall(time.Now())
	}
}

// loseCarrier ends a call from the line's side.
func (m *Modem) loseCarrier(at time.Time) {
	m.endCall(at)
	m.result("NO CARRIER")
}

// endCall goes on-hook at a moment. What is in flight is lost.
func (m *Modem) endCall(at time.Time) {
	c := m.call
	c.end(at)
	m.leaveData(at)
	m.count.Hangups++
	m.count.Up += c.up.arrived(at)
	m.count.Down += c.down.arrived(at)
	m.count.OffHookTime += at.Sub(c.began)
	m.call = nil
	m.fromHost.wake()
	m.toHost.wake()
}

// setDTR is the DTE's line; &D says what its fall does: ITU-T V.250 §6.2.9.
func (m *Modem) setDTR(on bool, now time.Time) {
	fell := m.dtr && !on
	m.dtr = on
	if !fell || m.opt.IgnoreDTR || m.set.terminal == 0 {
		return
	}
	if m.mode == dialling {
		m.stopDialling()
		m.result("NO CARRIER")
	}
	switch {
	case m.set.terminal == 1 && m.mode == online:
		m.leaveData(now)
		m.result("OK")
	case m.set.terminal >= 2 && m.call != nil:
		m.endCall(now)
		m.result("NO CARRIER")
	}
	if m.set.terminal == 3 {
		m.reset()
	}
}
