package mailroom

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"strings"
	"sync"

	"outpost/internal/route"
	"outpost/queue"
)

// fileKey is the part of a Maildir name that says which message for whom it is. It is
// the same at each try, has a fixed length after the dot, and, with the user in it, is
// unique also when the files of two users come together in one folder.
func fileKey(msg queue.Message, place string) string {
	sum := sha256.Sum256([]byte(place))
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

// readers are buffers that nobody reads with just now: each message is read through two of them.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}

// borrow buffers a reader, until giveBack.
func borrow(r io.Reader) *bufio.Reader {
	b := readers.Get().(*bufio.Reader)
	b.Reset(r)
	return b
}

func giveBack(b *bufio.Reader) {
	b.Reset(nil)
	readers.Put(b)
}

// write writes the message with the lines that final delivery adds on top: the
// envelope sender (RFC 5321 §4.4), whose mailbox it is (RFC 9228), and why it is here. Mail from a box
// has been delivered once already, so it has its Return-Path or there never was one
// to know.
func (m *Mailroom) write(w io.Writer, msg queue.Message, home route.Place, body io.ReadSeeker) error {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return &bodyError{err}
	}
	const returnPath = "Return-Path:"
	counted := &bodyReader{r: body}
	src := borrow(counted)
	defer giveBack(src)
	start, _ := src.Peek(len(returnPath)) // Its error comes again with the copy.
	var top strings.Builder
	if msg.Origin != queue.Collected || msg.From != "" && !strings.EqualFold(string(start), returnPath) {
		fmt.Fprintf(&top, "%s <%s>\r\n", returnPath, msg.From)
	}
	fmt.Fprintf(&top, "Delivered-To: %s\r\n", m.table().DeliveredTo(home.String()))
	top.WriteString(routeField(msg.Route))
	if _, err := io.WriteString(w, top.String()); err != nil {
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

// RouteField is the header field that says why a message is where it is.
const RouteField = "X-Outpost-Route"

// foldAt is the length that a line of a header should not exceed (RFC 5322 §2.1.1).
const foldAt = 78

// routeField writes the reasons as a field of ASCII in lines; "" for none.
func routeField(reasons string) string {
	if reasons == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString(RouteField + ":")
	line := b.Len()
	for _, word := range strings.Fields(mime.QEncoding.Encode("utf-8", reasons)) {
		if line+1+len(word) > foldAt && line > 1 {
			b.WriteString("\r\n")
			line = 0
		}
		b.WriteString(" " + word)
		line += 1 + len(word)
	}
	b.WriteString("\r\n")
	return b.String()
}
