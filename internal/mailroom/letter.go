package mailroom

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"outpost/queue"
)

// fileKey is the part of a Maildir name that says which message for whom it is. It is
// the same at each try, has a fixed length after the dot, and, with the user in it, is
// unique also when the files of two users come together in one folder.
func fileKey(msg queue.Message, user string) string {
	sum := sha256.Sum256([]byte(user))
	return fmt.Sprintf("%d.%s-%x.", msg.Received.Unix(), msg.ID, sum[:4])
}

// fileHost is the host part of a Maildir name. It is no part of the key: the name of
// the host may change between two tries.
func fileHost(host string) string {
	return strings.Map(func(r rune) rune {
		if r > '~' || !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-') {
			return '_' // Above all no slash, colon or comma: they have a meaning here.
		}
		return r
	}, host)
}

// bodyError is a failure to read what is delivered, as against to write it.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// bodyReader marks the errors of a body.
type bodyReader struct {
	r io.Reader
	n int64
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if err != nil && err != io.EOF {
		err = &bodyError{err}
	}
	return n, err
}

// write writes the message with the lines that final delivery adds on top: the
// envelope sender (RFC 5321 §4.4) and whose mailbox it is (RFC 9228). Mail from a box
// has been delivered once already, so it has its Return-Path or there never was one
// to know.
func (m *Mailroom) write(w io.Writer, msg queue.Message, home string, body io.ReadSeeker) error {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return &bodyError{err}
	}
	const returnPath = "Return-Path:"
	counted := &bodyReader{r: body}
	src := bufio.NewReaderSize(counted, 64<<10)
	start, _ := src.Peek(len(returnPath)) // Its error comes again with the copy.
	if msg.Origin != queue.Collected || msg.From != "" && !strings.EqualFold(string(start), returnPath) {
		if _, err := fmt.Fprintf(w, "%s <%s>\r\n", returnPath, msg.From); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "Delivered-To: %s\r\n", cmp.Or(m.primary[home], home)); err != nil {
		return err
	}
	if _, err := io.Copy(w, src); err != nil {
		return err
	}
	if counted.n != msg.Size {
		return &bodyError{fmt.Errorf("the body has %d octets instead of %d: %w", counted.n, msg.Size, queue.ErrCorrupt)}
	}
	return nil
}
