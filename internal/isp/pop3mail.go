package isp

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func (s *popSession) cmdStat(string) {
	n, octets := s.drop.count()
	s.ok("%d %d", n, octets)
}

func (s *popSession) cmdList(args string) {
	s.listing(args, func(m Stored) string { return strconv.Itoa(len(m.Data)) })
}

func (s *popSession) cmdUidl(args string) {
	s.listing(args, func(m Stored) string { return m.UIDL })
}

// listing answers LIST and UIDL, for one message or for all that aren't
// marked deleted (RFC 1939 §5, §7).
func (s *popSession) listing(args string, of func(Stored) string) {
	if args != "" {
		if i, ok := s.message(args); ok {
			s.ok("%d %s", i+1, of(s.drop.mail[i]))
		}
		return
	}
	n, octets := s.drop.count()
	s.ok("%d messages (%d octets)", n, octets)
	for i, m := range s.drop.mail {
		if !s.drop.deleted[i] {
			s.line(fmt.Sprintf("%d %s", i+1, of(m)))
		}
	}
	s.line(".")
}

func (s *popSession) cmdRetr(args string) {
	if i, ok := s.readable(args); ok {
		s.ok("%d octets", len(s.drop.mail[i].Data))
		s.content(s.drop.mail[i].Data)
	}
}

// cmdTop sends the header and the first lines of the body (RFC 1939 §7).
func (s *popSession) cmdTop(args string) {
	number, lines, _ := strings.Cut(args, " ")
	n, err := strconv.ParseUint(lines, 10, 31)
	if err != nil {
		s.err("How many lines?")
		return
	}
	if i, ok := s.readable(number); ok {
		s.ok("Top of message follows")
		s.content(top(s.drop.mail[i].Data, int(n)))
	}
}

// top is the header, the empty line and n lines of the body.
func top(msg []byte, n int) []byte {
	size, inBody := 0, false
	for line := range bytes.Lines(msg) {
		if inBody {
			if n == 0 {
				break
			}
			n--
		}
		size += len(line)
		inBody = inBody || len(bytes.TrimRight(line, "\r\n")) == 0
	}
	return msg[:size]
}

func (s *popSession) cmdDele(args string) {
	if i, ok := s.message(args); ok {
		s.drop.deleted[i] = true
		s.ok("Message %d deleted", i+1)
	}
}

func (s *popSession) cmdRset(string) {
	clear(s.drop.deleted)
	n, octets := s.drop.count()
	s.ok("%d messages (%d octets)", n, octets)
}

// message finds the message that a command names, or has answered -ERR.
func (s *popSession) message(number string) (index int, ok bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
	if err != nil || n == 0 || int(n) > len(s.drop.mail) || s.drop.deleted[n-1] {
		s.err("No such message")
		return 0, false
	}
	return int(n) - 1, true
}

// readable is message, for those whose content the provider can read.
func (s *popSession) readable(number string) (index int, ok bool) {
	i, ok := s.message(number)
	if ok && slices.Contains(s.p.fault().Unreadable, s.drop.mail[i].UIDL) {
		s.err("[SYS/TEMP] Cannot read this message")
		return 0, false
	}
	return i, ok
}

// content sends canonical lines with their dots doubled and the final dot
// (RFC 1939 §3).
func (s *popSession) content(msg []byte) {
	for line := range bytes.Lines(msg) {
		if line[0] == '.' {
			_ = s.w.WriteByte('.')
		}
		if _, err := s.w.Write(line); err != nil {
			return
		}
	}
	s.line(".")
}
