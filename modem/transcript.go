package modem

import (
	"fmt"
	"sync"
	"unicode/utf8"
)

// maxTranscript bounds the transcript; the oldest lines go first.
const maxTranscript = 16 << 10

// transcript is the dialogue for a person: "> " what was sent, "< " what came,
// "-- " what was done to or seen of the control lines. Secrets are masked before
// anything is kept.
type transcript struct {
	mask mask

	mu   sync.Mutex
	text []byte
	all  int64  // octets ever kept
	wary string // the last line sent, if it held a secret: what comes may be its echo in pieces
}

func newTranscript(secrets []string) *transcript { return &transcript{mask: newMask(secrets)} }

func (t *transcript) sent(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wary = ""
	if t.mask.Replace(line) != line {
		t.wary = line
	}
	t.add("> ", t.mask.Replace(line))
}

func (t *transcript) got(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add("< ", t.hide(line))
}

func (t *transcript) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add("-- ", t.mask.Replace(fmt.Sprintf(format, args...)))
}

// clean is what of a modem's or a peer's words may be shown.
func (t *transcript) clean(text string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hide(text)
}

func (t *transcript) hide(line string) string {
	if t.wary == "" {
		return t.mask.Replace(line)
	}
	return t.mask.pieces(line, t.wary)
}

func (t *transcript) add(mark, line string) {
	line = printable(line)
	t.text = append(append(append(t.text, mark...), line...), '\n')
	t.all += int64(len(mark) + len(line) + 1)
	if over := len(t.text) - maxTranscript; over > 0 {
		for over < len(t.text) && t.text[over-1] != '\n' {
			over++
		}
		t.text = append(t.text[:0], t.text[over:]...)
	}
}

// mark is a place in the transcript, for fold.
func (t *transcript) mark() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all
}

// fold takes back what was said since mark if it is what was said before, and returns it: a
// modem that is asked every other second for a minute must not push everything else out.
func (t *transcript) fold(mark int64, before string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(int(t.all-mark), len(t.text))
	said := string(t.text[len(t.text)-n:])
	if said == before {
		t.text = t.text[:len(t.text)-n]
	}
	return said
}

// String returns what is kept.
func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// printable keeps the file readable: noise, which is what is left of the data phase
// when a line is read after it, is counted instead of shown.
func printable(line string) string {
	odd := 0
	for _, c := range line {
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			odd++
		}
	}
	switch {
	case odd == 0:
		return line
	case odd*4 > len(line):
		return fmt.Sprintf("(%d octets that are no text)", len(line))
	}
	q := fmt.Sprintf("%q", line)
	return q[1 : len(q)-1]
}
