package smtpd

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"outpost/queue"
)

// Data takes the content and submits the message. It runs in the connection's
// goroutine for DATA and in one of its own for BDAT.
func (s *session) Data(r io.Reader) error {
	if !s.srv.door.begin() {
		return errLeaving
	}
	defer s.srv.door.work.Done()
	s.conn.messages(+1)
	defer s.conn.messages(-1)

	tx, user := s.take()
	content := s.newBody(r, tx, user)
	defer func() { s.taken(errors.Is(content.err, smtp.ErrDataReset)) }()
	if len(tx.to) == 0 {
		return errNoRecipients
	}
	m := queue.Message{
		Origin: queue.Submitted, From: tx.from, To: tx.to,
		User: user, Client: s.clientText(), EightBit: tx.eightBit, UTF8: tx.utf8,
		EnvID: tx.envID, Return: tx.ret,
	}
	m, err := s.srv.opt.Submit(s.srv.ctx, m, content)
	if answer := s.verdict(err, content); answer != nil {
		s.logRefusal(tx, user, answer)
		return answer
	}
	s.srv.opt.Log.Info("mail accepted", "id", string(m.ID), "session", tx.id, "from", tx.from,
		"to", tx.rcpts, "size", m.Size, "user", user, "client", s.clientText())
	return nil
}

// verdict is the answer to a message, nil for 250.
func (s *session) verdict(err error, b *body) *smtp.SMTPError {
	switch {
	case b.err != nil && b.err != io.EOF:
		if errors.Is(b.err, errUnclearEnd) {
			// go-smtp now waits for an end that the client believes it has sent.
			s.conn.hangUp()
		}
		return contentReply(b.err)
	case err != nil:
		return s.asReply(err)
	case b.err == nil:
		return s.asReply(errors.New("smtpd: Submit returned before the message had ended"))
	}
	return nil
}

func (s *session) logRefusal(tx transaction, user string, answer *smtp.SMTPError) {
	s.srv.opt.Log.Info("mail refused", "session", tx.id, "command", "DATA", "code", answer.Code,
		"reason", answer.Message, "from", tx.from, "to", tx.rcpts, "user", user, "client", s.clientText())
}

// body is a message's content on its way to Submit. It remembers how it ended,
// since Submit may wrap or replace the error it met.
type body struct {
	r   io.Reader
	err error
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.err = err
	return n, err
}

// newBody chains what the content passes: whole (BDAT only), lines, stamper.
func (s *session) newBody(r io.Reader, tx transaction, user string) *body {
	// go-smtp hands BDAT content over in a pipe.
	_, chunked := r.(*io.PipeReader)
	if chunked {
		r = &whole{r: r, s: s}
	}
	now := time.Now()
	return &body{r: &stamper{
		src: bufio.NewReader(&lines{src: r, dotted: !chunked}),
		top: s.received(tx, user, now),
		add: []field{
			{name: "Date", value: now.Format(dateLayout)},
			{name: "Message-ID", value: "<" + strings.ToLower(rand.Text()) + "@" + s.srv.opt.Hostname + ">"},
		},
	}}
}

// whole makes sure that BDAT content ended because the last chunk was complete.
// go-smtp copies a chunk until its size is reached or the connection ends, and takes
// the one for the other: a client that dies inside its last chunk would leave half a
// message that looks complete.
type whole struct {
	r io.Reader
	s *session
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err == io.EOF && w.s.cutShort() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// cutShort tells whether the client's stream has ended. go-smtp is waiting for Data
// then and reads nothing; it had to meet the end only if octets were missing.
//
// In plain text conn has seen it. Inside TLS the end is a close_notify, which only
// tls.Conn knows: it is asked for one more octet while conn refuses to fetch
// any. If there is one, the client sent its next commands without waiting for the
// reply; the octet can't be put back, so it gets its reply and then the end of the
// connection, and will send the rest again.
func (s *session) cutShort() bool {
	if s.conn.hasEnded() {
		return true
	}
	if s.tls == nil {
		return false
	}
	s.conn.hold(true)
	defer s.conn.hold(false)
	var octet [1]byte
	n, err := s.tls.Read(octet[:])
	if n > 0 {
		s.conn.closeAfterReply()
		return false
	}
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
