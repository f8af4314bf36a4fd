package link

import (
	"strings"
	"sync"
	"unicode"
)

const (
	// maxJournal bounds what is kept of what programs say in a call, in octets;
	// the oldest lines go first.
	maxJournal = 16 << 10
	// maxLine is how much of one line is read, in octets. pppd's longest are its
	// debug lines, of a few hundred.
	maxLine = 1 << 10
)

// journal is what was done in a call and what programs said to it, for a person:
// "> " a command, "< " what it said, "-- " what was done or seen. Secrets are
// masked before anything is kept.
type journal struct {
	mask *strings.Replacer

	mu   sync.Mutex
	text []byte
}

func newJournal(secrets ...string) *journal {
	var pairs []string
	for _, s := range secrets {
		if s != "" {
			pairs = append(pairs, s, "***")
		}
	}
	return &journal{mask: strings.NewReplacer(pairs...)}
}

func (r *journal) add(mark, line string) {
	line = printable(r.mask.Replace(line))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(append(append(r.text, mark...), line...), '\n')
	if over := len(r.text) - maxJournal; over > 0 {
		for over < len(r.text) && r.text[over-1] != '\n' {
			over++
		}
		r.text = append(r.text[:0], r.text[over:]...)
	}
}

// String is what is kept.
func (r *journal) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.text)
}

// printable keeps a program's colours and bells out of a person's terminal.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, line)
}

// lineWriter cuts what a program says into lines. Of a line that is too long the
// beginning counts. It has one user at a time.
type lineWriter struct {
	each func(line string)
	line []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '\n':
			w.end()
		case len(w.line) < maxLine:
			w.line = append(w.line, b)
		}
	}
	return len(p), nil
}

// end takes what there is as a line: the last may have no line end.
func (w *lineWriter) end() {
	if line := strings.TrimRight(string(w.line), "\r "); line != "" {
		w.each(line)
	}
	w.line = w.line[:0]
}
