package relay

import (
	"bytes"
	"fmt"
	"io"
)

const (
	// chunkSize is the measure of how much content goes under one BDAT: enough that its line and its reply don't count, and so little
	// that not much is sent in vain when the server refuses what stands before it.
	chunkSize = 16 << 10
	// emptyReads in a row are given up, as in bufio: the body is broken.
	emptyReads = 100
)

// body is a message's content as it is read, encoded for the wire.
type body struct {
	src   io.ReadCloser
	enc   encoder
	want  int64      // octets that it must have
	size  int64      // octets that were read
	seven *sevenBits // what they go through first; nil: nothing
	whole bool       // all was read, and is as long as it must be
}

// openBody opens m's content and reads the first piece of it into dst, so that most of the messages that can't be read are found out before an
// octet is spent on them. For a server without 8BITMIME it is changed where that is needed and can be. An error is the body's own.
func openBody(m *Message, ext extensions, dst, in []byte) (*body, []byte, error) {
	b := &body{want: m.Size}
	dst, err := b.open(m, ext, dst, in)
	if err == nil && !ext.eightBit && !(b.whole && sevenBit(dst)) {
		if b.seven, err = surveyed(m, in); b.seven != nil || err != nil {
			b.close()
		}
		if b.seven != nil {
			dst, err = b.open(m, ext, dst, in)
		}
	}
	return b, dst, err
}

// open begins with the content, again if it was begun before.
func (b *body) open(m *Message, ext extensions, dst, in []byte) ([]byte, error) {
	src, err := m.Open()
	if err != nil {
		return dst, err
	}
	b.src, b.enc, b.size, b.whole = src, encoder{bdat: ext.chunking}, 0, false
	if dst, err = b.read(dst[:0], in); err != nil {
		b.close()
	}
	return dst, err
}

// portion is how much to read next. The first chunk is small, as nothing is known yet of what the server makes of the recipients, and those
// behind it are twice that. A small rest goes along: its reply would come right behind the one before, and many servers hold such back
// until that is acknowledged (RFC 896), which is a round trip at the end of the call.
func (b *body) portion() int {
	n := chunkSize
	if b.size > 0 {
		n *= 2
	}
	if b.want > 0 && b.want-b.size <= int64(n+n/2) {
		n *= 2
	}
	return n
}

// read appends to dst the next portion or somewhat more; what in can hold becomes a few times as much at worst. At the end of the content its
// last line is ended.
func (b *body) read(dst, in []byte) ([]byte, error) {
	empty := 0
	for full := len(dst) + b.portion(); len(dst) < full; {
		n, err := b.src.Read(in)
		b.size += int64(n)
		dst = b.append(dst, in[:n])
		switch {
		case err == io.EOF && b.size < b.want:
			return dst, fmt.Errorf("the message ends after %d of its %d octets: %w", b.size, b.want, io.ErrUnexpectedEOF)
		case err == io.EOF:
			b.whole = true
			return b.finish(dst)
		case err != nil:
			return dst, err
		case n > 0:
			empty = 0
		default:
			if empty++; empty == emptyReads {
				return dst, io.ErrNoProgress
			}
		}
	}
	return dst, nil
}

func (b *body) append(dst, src []byte) []byte {
	if b.seven != nil {
		src = b.seven.convert(src)
	}
	return b.enc.append(dst, src)
}

func (b *body) finish(dst []byte) ([]byte, error) {
	if b.seven != nil {
		rest, err := b.seven.finish()
		if err != nil {
			return dst, err
		}
		dst = b.enc.append(dst, rest)
	}
	return b.enc.finish(dst), nil
}

func (b *body) close() {
	if b != nil && b.src != nil {
		_ = b.src.Close()
		b.src = nil
	}
}

// bodyError is a body that failed, before its message was made whole for the server.
func bodyError(err error) *Error {
	return &Error{
		Command: "content", Temporary: true, Err: err,
		Hint: "the message could not be read here and was broken off, so that nobody takes it for whole",
	}
}

// encoder makes any octets into lines: each ended by CRLF, no CR or LF but in CRLF (RFC 5321 §2.3.8) and no NUL. For DATA dots are
// stuffed (§4.5.2), with bdat they are not (RFC 3030 §2). The zero value is at the start of a message for DATA.
type encoder struct {
	bdat    bool
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
			if !e.inLine && src[0] == '.' && !e.bdat {
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
