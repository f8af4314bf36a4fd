package modem

import (
	"slices"
	"strings"
)

// hidden stands where a secret was.
const hidden = "***"

// mask keeps secrets out of what is shown.
type mask struct{ secrets []string } // the longest first, none empty

func newMask(secrets []string) mask {
	var m mask
	for _, s := range secrets {
		if s != "" {
			m.secrets = append(m.secrets, s)
		}
	}
	slices.SortFunc(m.secrets, func(a, b string) int { return len(b) - len(a) })
	return m
}

// Replace hides every secret in text, also one that line ends and other control
// characters run through, as the echo of a far end's terminal has them.
func (m mask) Replace(text string) string {
	for _, s := range m.secrets {
		text = hide(text, s)
	}
	return text
}

func hide(text, secret string) string {
	if strings.IndexFunc(text, isControl) < 0 {
		return strings.ReplaceAll(text, secret, hidden)
	}
	var plain []byte // text without control characters
	var at []int     // where each octet of plain stands in text
	for i := range len(text) {
		if !isControl(rune(text[i])) {
			plain, at = append(plain, text[i]), append(at, i)
		}
	}
	var b strings.Builder
	from := 0
	for p := 0; ; {
		i := strings.Index(string(plain[p:]), secret)
		if i < 0 {
			break
		}
		p += i
		b.WriteString(text[from:at[p]] + hidden)
		p += len(secret)
		from = at[p-1] + 1
	}
	return strings.ReplaceAll(b.String()+text[from:], secret, hidden)
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// pieces hides what may be a part of the echo of a line that held a secret. An echo is
// torn apart where a modem has something to say in the middle of it, so a line may end
// with the beginning of a secret, begin with its end, or be nothing but its middle.
func (m mask) pieces(line, sent string) string {
	if r, _ := ParseResult(line); r != None && !isNumber(line) {
		return m.Replace(line) // it says what became of the line that was sent
	}
	if line != "" && strings.Contains(sent, line) {
		return hidden
	}
	line = m.Replace(m.echo(line, sent))
	for _, s := range m.secrets {
		for n := min(len(s)-1, len(line)); n > 0; n-- {
			if strings.HasSuffix(line, s[:n]) {
				line = line[:len(line)-n] + hidden
				break
			}
		}
		for n := min(len(s)-1, len(line)); n > 0; n-- {
			if strings.HasPrefix(line, s[len(s)-n:]) {
				line = hidden + line[n:]
				break
			}
		}
	}
	return line
}

// echo hides what a line has in common with the one that was sent, from where that
// holds a secret.
func (m mask) echo(line, sent string) string {
	same := 0
	for same < min(len(line), len(sent)) && line[same] == sent[same] {
		same++
	}
	for _, s := range m.secrets {
		if i := strings.Index(sent, s); i >= 0 && same > i {
			return line[:i] + hidden + line[same:]
		}
	}
	return line
}
