package pop3

import "bytes"

// text finds the lines of a reply in the octets of the server, as RFC 1939 §3 has them: lines end in CRLF. A lone LF ends one only if
// the server ended the status line so too. Else it is text of a careless message, and a dot behind it neither stuffed nor the end;
// who could send a "\n.\n" would otherwise decide what is cut off.
//
// What comes out is octet for octet what was stuffed, but a lone LF has got its CR.
type text struct {
	crlf   bool // only CRLF ends lines
	start  bool // at the start of a line
	cr     bool // the octet before was a CR of this line
	octets int64
}

// textState is why scan has stopped.
type textState byte

const (
	textMore  textState = iota // there is more to scan
	textShort                  // more octets are needed
	textEnd                    // that was the lone dot behind the lines
)

var lineEnd = []byte("\r\n")

func (t *text) begin(crlf bool) { *t = text{crlf: crlf, start: true} }

// scan takes the first octets of in, of which it uses some, and gives the text that they are, which may be empty: as many whole lines as
// lie there together, or what there is of one.
func (t *text) scan(in []byte) (used int, out []byte, state textState) {
	skip := 0
	if t.start {
		switch dots, state := t.dot(in); {
		case state != textMore:
			return dots, nil, state
		default:
			skip = dots
		}
		t.start, t.cr = false, false
		in = in[skip:]
	}
	n := 0
	for n < len(in) {
		i := bytes.IndexByte(in[n:], '\n')
		if i < 0 {
			n = len(in)
			t.cr = in[n-1] == '\r'
			return skip + n, in, textShort
		}
		end := n + i
		switch {
		case end == 0 && !t.cr: // a lone LF first
			t.start = !t.crlf
			return skip + 1, lineEnd, textMore
		case end > 0 && in[end-1] != '\r': // a lone LF: first what is before it
			t.cr = false
			return skip + end, in[:end], textMore
		}
		n, t.cr = end+1, false
		if n == len(in) || in[n] == '.' {
			t.start = true
			break
		}
	}
	return skip + n, in[:n], textShort
}

// dot looks at the start of a line: used says how many octets there are not text.
func (t *text) dot(in []byte) (used int, state textState) {
	switch {
	case len(in) == 0:
		return 0, textShort
	case in[0] != '.':
		return 0, textMore
	case len(in) == 1:
		return 0, textShort
	case in[1] == '\n' && !t.crlf:
		return 2, textEnd
	case in[1] != '\r':
		return 1, textMore
	case len(in) == 2:
		return 0, textShort
	case in[2] == '\n':
		return 3, textEnd
	}
	return 1, textMore
}
