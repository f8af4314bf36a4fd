package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// contentChunk is what is read of a body at once: two such make one write, about two full TLS records.
const contentChunk = 16 << 10

// content is a message's content under way, written by a goroutine of its own like a flight. The fields below done belong to that
// goroutine until it has landed.
type content struct {
	stop atomic.Bool // no more is wanted: the reply is there already
	done chan struct{}

	ended  bool  // all of it was written, with the final dot
	dotOut bool  // some of the line with the final dot was written: from here on the server may accept
	local  error // the body failed, not the line; the final dot was not sent
}

func stream(c *Client, m Message) *content {
	s := &content{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.write(c, m)
	}()
	return s
}

// land waits until nothing is written any more.
func (s *content) land() {
	s.stop.Store(true)
	<-s.done
}

// complete may be asked after land.
func (s *content) complete() bool { return s.ended }

// write sends the body and the final dot, the dot in one write with the body's end: a packet of its own for three octets would cost a
// slow line more than the octets. DATA has no way to take back what was begun, so a body that fails can only be broken off by closing
// the connection (RFC 5321 §4.1.1.4); the server then drops the fragment.
func (s *content) write(c *Client, m Message) {
	var (
		enc  encoder
		in   = make([]byte, contentChunk)
		out  = make([]byte, 0, 2*contentChunk+contentChunk/4)
		size int64
	)
	for {
		n, err := m.Body.Read(in)
		size += int64(n)
		out = enc.append(out, in[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.breakOff(c, err)
			return
		}
		if len(out) < contentChunk {
			continue
		}
		if s.stop.Load() {
			return
		}
		if _, err := c.conn.Write(out); err != nil {
			return // the reader of the reply finds out why
		}
		out = out[:0]
	}
	if size < m.Size {
		s.breakOff(c, fmt.Errorf("the message ends after %d of its %d octets: %w", size, m.Size, io.ErrUnexpectedEOF))
		return
	}
	if s.stop.Load() {
		return
	}
	out = enc.finish(out)
	dot := len(out)
	n, err := c.conn.Write(append(out, ".\r\n"...))
	s.dotOut = n > dot
	s.ended = err == nil
	c.line.SetPatience(c.opt.FinalTimeout)
}

func (s *content) breakOff(c *Client, err error) {
	s.local = err
	_ = c.line.Close()
}

// encoder makes any octets into lines for DATA: each ended by CRLF, dots stuffed (RFC 5321 §4.5.2), no CR or LF but in CRLF (§2.3.8)
// and no NUL. The zero value is at the start of a message.
type encoder struct {
	inLine  bool // something stands in the line already
	afterCR bool // the last octet was a CR, which has been written as CRLF
}

// append appends src, encoded, to dst. Where src is cut into pieces makes no difference.
func (e *encoder) append(dst, src []byte) []byte {
	for len(src) > 0 {
		run := bytes.IndexAny(src, "\r\n\x00")
		if run < 0 {
			run = len(src)
		}
		if run > 0 {
			if !e.inLine && src[0] == '.' {
				dst = append(dst, '.')
			}
			dst = append(dst, src[:run]...)
			e.inLine, e.afterCR = true, false
			src = src[run:]
			continue
		}
		if src[0] == '\r' || src[0] == '\n' && !e.afterCR {
			dst = append(dst, "\r\n"...)
			e.inLine = false
		}
		e.afterCR = src[0] == '\r' || src[0] == 0 && e.afterCR
		src = src[1:]
	}
	return dst
}

// finish ends the last line if it isn't.
func (e *encoder) finish(dst []byte) []byte {
	if e.inLine {
		dst = append(dst, "\r\n"...)
	}
	e.inLine = false
	return dst
}
