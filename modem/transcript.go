package modem

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxTranscript bounds the transcript; the oldest lines go first.
const maxTranscript = 16 << 10

// transcript is the dialogue for a person: "> " what was sent, "< " what came,
// "-- " what was done to or seen of the control lines. Secrets are masked before
// anything is kept.
type transcript struct {
	mask *strings.Replacer

	mu   sync.Mutex
	text []byte
}

func newTranscript(secrets []string) *transcript {
	var pairs []string
	for _, s := range secrets {
		if s != "" {
			pairs = append(pairs, s, "***")
		}
	}
	return &transcript{mask: strings.NewReplacer(pairs...)}
}

func (t *transcript) sent(line string)                { t.add("> ", line) }
func (t *transcript) got(line string)                 { t.add("< ", line) }
func (t *transcript) note(format string, args ...any) { t.add("-- ", fmt.Sprintf(format, args...)) }

func (t *transcript) add(mark, line string) {
	line = printable(t.mask.Replace(line))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(append(append(t.text, mark...), line...), '\n')
	if over := len(t.text) - maxTranscript; over > 0 {
		for over < len(t.text) && t.text[over-1] != '\n' {
			over++
		}
		t.text = append(t.text[:0], t.text[over:]...)
	}
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
