package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"outpost/internal/patience"
)

const (
	// maxReplyLine is generous: RFC 5321 §4.5.3.1.5 allows 512 octets with code and CRLF.
	maxReplyLine = 4096
	// maxReplyLines holds the longest EHLO reply seen in the wild several times over.
	maxReplyLines = 128
)

// reply is one complete reply of the server (RFC 5321 §4.2).
type reply struct {
	code  int
	lines []string // the text of each line, without code, separator and line end
}

// class is the first digit: 2 done, 3 go on, 4 not now, 5 no.
func (r reply) class() int { return r.code / 100 }

// enhanced is the status code of RFC 3463 in front of the text (RFC 2034 §4), or "".
func (r reply) enhanced() string {
	if len(r.lines) == 0 {
		return ""
	}
	word, _, _ := strings.Cut(r.lines[0], " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || int(parts[0][0]-'0') != r.class() {
		return ""
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return ""
		}
	}
	return word
}

// String is the reply in one line as the server sent it, its lines joined by a blank, for people: legible and not too long.
func (r reply) String() string {
	var b strings.Builder
	for i, text := range r.lines {
		sep := "-"
		if i == len(r.lines)-1 {
			sep = " "
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d%s%s", r.code, sep, text)
	}
	return patience.Legible(strings.TrimRight(b.String(), " "))
}

// replyReader reads replies and bounds what one may take.
type replyReader struct {
	r *bufio.Reader
}

func newReplyReader(r io.Reader) *replyReader {
	return &replyReader{r: bufio.NewReaderSize(r, maxReplyLine)}
}

// buffered says how many octets came behind the last reply.
func (rr *replyReader) buffered() int { return rr.r.Buffered() }

var errNotSMTP = errors.New("the server does not speak SMTP")

// read returns the next reply. An error ends the use of the connection: it is never clear what the next octet would belong to.
func (rr *replyReader) read() (reply, error) {
	var rep reply
	for len(rep.lines) < maxReplyLines {
		line, err := rr.line()
		if err != nil {
			return reply{}, err
		}
		code, more, text, ok := parseReplyLine(line)
		if !ok {
			return reply{}, fmt.Errorf("%w: it said %q", errNotSMTP, patience.Legible(line))
		}
		if len(rep.lines) > 0 && code != rep.code {
			return reply{}, fmt.Errorf("%w: one reply has codes %d and %d", errNotSMTP, rep.code, code)
		}
		rep.code = code
		rep.lines = append(rep.lines, text)
		if !more {
			return rep, nil
		}
	}
	return reply{}, fmt.Errorf("%w: a reply has more than %d lines", errNotSMTP, maxReplyLines)
}

// line reads one line without its end. A lone LF ends it too: some servers send that, and in replies nothing hangs on it.
func (rr *replyReader) line() (string, error) {
	b, err := rr.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("%w: a reply has a line of more than %d octets", errNotSMTP, maxReplyLine)
	case errors.Is(err, io.EOF) && len(b) > 0:
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(string(b[:len(b)-1]), "\r"), nil
}

// parseReplyLine takes "250-text", "250 text" and "250" apart (RFC 5321 §4.2).
func parseReplyLine(line string) (code int, more bool, text string, ok bool) {
	if len(line) < 3 {
		return 0, false, "", false
	}
	for _, d := range []byte(line[:3]) {
		if d < '0' || d > '9' {
			return 0, false, "", false
		}
		code = code*10 + int(d-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, "", false
	}
	if len(line) == 3 {
		return code, false, "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", false
	}
	return code, line[3] == '-', line[4:], true
}
