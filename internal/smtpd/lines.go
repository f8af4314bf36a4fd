package smtpd

import "io"

// lines makes every line end of a message CRLF. A bare LF or CR is forbidden (RFC
// 5321 §2.3.8), but scanners and scripts on office networks send them, and what is
// kept here is sent on and read by programs that disagree about what they mean; that
// disagreement is what lets one message be read as two. So one bare LF, or one bare
// CR, becomes a line end, a run of CR before LF one line end, any other run of
// CR a blank line at most. The last line gets its end when it has none.
//
// The end of the content is go-smtp's matter, and it takes only CRLF . CRLF for it,
// never LF . LF or a mixture. In one case it fails to see it: after an even run
// of CR before the LF. Then it neither ends there nor takes a stuffed dot away, so
// a dot after such a line is refused: where the message ends can't be told. And at
// once, since the client believes that it has ended, and waits: go-smtp's reader
// returns only when it has filled what it was given, so it is asked for three octets
// at a time, no more than the dot and CRLF at a real end.
type lines struct {
	src    io.Reader
	dotted bool // the content came by DATA, with dot-stuffing

	in      [4096]byte
	out     []byte // made, not yet given out
	spare   []byte // out's array from its start
	crs     int    // CR seen and not yet decided
	unclear bool   // the last line ended in an even run of CR and LF
	open    bool   // the line has no end yet
	err     error
}

// Read gives out CRLF lines.
func (l *lines) Read(p []byte) (int, error) {
	for len(l.out) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		l.fill()
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

// fill makes the next piece, at most twice what it reads.
func (l *lines) fill() {
	l.out = l.spare[:0]
	in := l.in[:]
	if l.dotted {
		in = l.in[:3]
	}
	for l.err == nil && len(l.out) < len(l.in) {
		n, err := l.src.Read(in)
		for _, c := range in[:n] {
			if l.unclear && c == '.' {
				l.err = errUnclearEnd
				break
			}
			l.put(c)
		}
		if l.err == nil && err != nil {
			l.finish(err)
		}
	}
	l.spare = l.out
}

// put takes one octet.
func (l *lines) put(c byte) {
	switch c {
	case '\r':
		l.crs++
		l.unclear = false
	case '\n':
		l.unclear = l.dotted && l.crs > 0 && l.crs%2 == 0
		l.crs = 0
		l.out = append(l.out, '\r', '\n')
		l.open = false
	default:
		l.unclear = false
		l.bareCR()
		l.out = append(l.out, c)
		l.open = true
	}
}

// bareCR writes line ends for a run of CR that no LF followed.
func (l *lines) bareCR() {
	for range min(l.crs, 2) {
		l.out = append(l.out, '\r', '\n')
		l.open = false
	}
	l.crs = 0
}

// finish ends the stream; a clean end also ends the last line.
func (l *lines) finish(err error) {
	l.err = err
	if err != io.EOF {
		return
	}
	l.bareCR()
	if l.open {
		l.out = append(l.out, '\r', '\n')
	}
}
