package imapd

import (
	"bufio"
	"bytes"
	"io"
	"os"
)

// markEvery is how far apart the places are from which a message can be read on.
const markEvery = 1 << 20

// crlf reads a file as IMAP sends it: each LF that has no CR before it becomes CRLF, all
// else stays: bare CR, NUL, octets above 127.
type crlf struct {
	in   *bufio.Reader
	last byte
	half bool // the CR of a CRLF was read, its LF wasn't
	at   int64
	raw  int64 // octets of the file behind at
}

func newCRLF(r io.Reader) *crlf { return &crlf{in: bufio.NewReaderSize(r, 64<<10)} }

// Read fills p as far as it can.
func (c *crlf) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if _, err := c.in.Peek(1); err != nil {
			if n > 0 && err == io.EOF {
				return n, nil
			}
			return n, err
		}
		chunk, _ := c.in.Peek(c.in.Buffered())
		written, used := c.convert(p[n:], chunk)
		n += written
		if _, err := c.in.Discard(used); err != nil {
			return n, err
		}
		c.raw += int64(used)
		if n > 0 {
			break
		}
	}
	c.at += int64(n)
	return n, nil
}

// convert fills p from the file's octets, and tells how many it wrote and used.
func (c *crlf) convert(p, chunk []byte) (n, used int) {
	for used < len(chunk) && n < len(p) {
		line := bytes.IndexByte(chunk[used:], '\n')
		if line < 0 {
			line = len(chunk) - used
		}
		if line > 0 {
			got := copy(p[n:], chunk[used:used+line])
			n, used = n+got, used+got
			c.last, c.half = chunk[used-1], false
			continue
		}
		if c.last != '\r' && !c.half {
			p[n], c.half = '\r', true
			n++
			continue
		}
		p[n], c.last, c.half = '\n', '\n', false
		n++
		used++
	}
	return n, used
}

// mark is a place to read on from.
type mark struct {
	at   int64 // octets sent before
	raw  int64 // octets of the file before
	last byte
	half bool
}

// message is one message's file, open.
type message struct {
	f     *os.File
	size  int64 // with CRLF; -1 until measured
	marks []mark
}

// measure reads all of it, for its size and the marks; feed gets to see everything, if it
// isn't nil.
func (m *message) measure(feed func([]byte)) error {
	if _, err := m.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	c := newCRLF(m.f)
	m.marks = []mark{{}}
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		if feed != nil {
			feed(buf[:n])
		}
		if err == io.EOF {
			m.size = c.at
			return nil
		}
		if err != nil {
			return err
		}
		if c.at >= m.marks[len(m.marks)-1].at+markEvery {
			m.marks = append(m.marks, mark{c.at, c.raw, c.last, c.half})
		}
	}
}

// part reads octets from to to of the message as it is sent.
func (m *message) part(from, to int64) (io.Reader, error) {
	start := mark{}
	for _, k := range m.marks {
		if k.at <= from {
			start = k
		}
	}
	if _, err := m.f.Seek(start.raw, io.SeekStart); err != nil {
		return nil, err
	}
	c := newCRLF(m.f)
	c.at, c.raw, c.last, c.half = start.at, start.raw, start.last, start.half
	if _, err := io.CopyN(io.Discard, c, from-start.at); err != nil {
		return nil, err
	}
	return io.LimitReader(c, to-from), nil
}

// bodyCache remembers what was found out about the message that a session read last: mail
// programs fetch a large one in many pieces.
type bodyCache struct {
	uid   uint32
	size  int64
	marks []mark
	root  *part // nil if it wasn't taken apart
}
