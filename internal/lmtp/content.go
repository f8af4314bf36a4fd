package lmtp

import (
	"bytes"
	"fmt"
	"io"
)

// pieceSize is how much content is read and written at once, in octets.
const pieceSize = 32 << 10

// send copies the message's content to the server, whole lines each ended by CRLF. bodyErr is that the content can't be read or isn't as
// long as it should be; err that it can't be written. Of neither the server has seen the end of the message.
func send(to io.Writer, src io.Reader, size int64) (bodyErr, err error) {
	out := &content{w: to, start: true}
	piece := make([]byte, pieceSize)
	var total int64
	for {
		n, readErr := src.Read(piece)
		total += int64(n)
		if err := out.write(piece[:n]); err != nil {
			return nil, err
		}
		switch {
		case readErr == io.EOF && size > 0 && total != size:
			return fmt.Errorf("%w: %d octets instead of %d", errSize, total, size), nil
		case readErr == io.EOF:
			return nil, out.finish()
		case readErr != nil:
			return readErr, nil
		}
	}
}

// content makes any octets into lines for go-smtp, which stuffs the dots: each ended by CRLF, no CR or LF but in CRLF (RFC 5321 §2.3.8).
// NULs between the start of a line and a dot are dropped: a server that ignores NUL would take "NUL . CRLF" for the end of the message.
type content struct {
	w   io.Writer
	buf []byte

	start   bool  // at the start of a line, but for NULs
	nuls    int64 // that stand there and were not written yet
	afterCR bool  // the last octet was a CR, not written yet
}

// write takes the next piece. Where the content is cut into pieces makes no difference.
func (c *content) write(p []byte) error {
	for len(p) > 0 {
		if !c.start && !c.afterCR {
			run := bytes.IndexAny(p, "\r\n")
			if run < 0 {
				run = len(p)
			}
			c.buf = append(c.buf, p[:run]...)
			if p = p[run:]; len(p) == 0 {
				break
			}
		}
		took, err := c.octet(p[0])
		if err != nil {
			return err
		}
		if took {
			p = p[1:]
		}
	}
	return c.flush(pieceSize)
}

// octet takes one at the start or the end of a line; false if it ended the line before it only.
func (c *content) octet(b byte) (took bool, err error) {
	switch {
	case c.afterCR:
		c.newline()
		return b == '\n', nil
	case b == '\r':
		err = c.pending()
		c.afterCR = true
	case b == '\n':
		err = c.pending()
		c.newline()
	case b == 0:
		c.nuls++
	default:
		if b == '.' {
			c.nuls = 0
		}
		err = c.pending()
		c.buf = append(c.buf, b)
		c.start = false
	}
	return true, err
}

func (c *content) newline() {
	c.buf = append(c.buf, "\r\n"...)
	c.start, c.afterCR = true, false
}

// pending writes the NULs that were held, however many.
func (c *content) pending() error {
	for c.nuls > 0 {
		n := min(c.nuls, pieceSize)
		c.buf = append(c.buf, make([]byte, n)...)
		if c.nuls -= n; c.nuls > 0 {
			if err := c.flush(0); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes what was made if it is more than so much.
func (c *content) flush(limit int) error {
	if len(c.buf) <= limit {
		return nil
	}
	_, err := c.w.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// finish writes the rest.
func (c *content) finish() error {
	if c.afterCR {
		c.newline()
	}
	if err := c.pending(); err != nil {
		return err
	}
	return c.flush(0)
}
