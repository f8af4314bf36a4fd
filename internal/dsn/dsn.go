// Package dsn writes the reports that tell a sender what became of his mail: delivery status notifications, as RFC 3464 has them.
//
// A report has three parts (RFC 6522). The first is for the sender, who sits in an office far from any help desk: to whom his message did
// not go, what the servers' codes mean in plain words, what he can do, and what happens next. The second says the same to programs. The
// third is his message, or only its header.
//
// The package is pure: it opens, sends and stores nothing and asks no clock. What comes from elsewhere (replies of servers, addresses, the
// message itself) may hold any octets; what goes out is always well formed: CRLF, no NUL, no line over 998 octets, seven bits unless
// [Report] allows more, and no boundary that the message could contain.
//
// To whom a report goes, when, and that it goes with the null reverse-path (RFC 3461 §6.1) are the caller's to see to. A report about a
// message that had the null reverse-path itself is refused here too, because two servers that report each other's reports never end.
//
// The package also writes the addresses of RFC 3461 and RFC 6533 in the form that SMTP carries, as they are the same in both directions.
package dsn

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"
)

// Kind is what a report says of its recipients. Its value is that of the Action field (RFC 3464 §2.3.3).
type Kind string

// The kinds. There is no zero value.
const (
	Failed    Kind = "failed"    // refused for good, or given up
	Delayed   Kind = "delayed"   // still waits, and is tried again
	Relayed   Kind = "relayed"   // handed on to a server that won't report
	Delivered Kind = "delivered" // in the mailbox
)

// maxWhole is up to how many octets a message is attached whole to a report of its failure unless the sender said what he wants: enough
// for a long letter, small enough that a few reports don't fill a mailbox.
const maxWhole = 64 << 10

// Report is one report about one message. Strings may hold anything; what has no place in a header or a text is replaced.
type Report struct {
	// Kind is what is said of the recipients. It must be set.
	Kind Kind
	// Hostname is this host's, which reports (Reporting-MTA). "" becomes "localhost".
	Hostname string
	// From is the header's From, an address. To is the sender of the message, who gets the report; "" is an error.
	From, To string
	// Foreign says that the message is not To's own: he is told in the place of its sender, who can't be.
	Foreign bool
	// Recipients are those the report is about: at least one.
	Recipients []Recipient
	// ID is the left half of the report's Message-ID; it must be new for each report, and is never for the same one.
	ID string
	// Now is the report's Date. All times are written in its zone.
	Now time.Time
	// Arrived is when the message was taken from the sender; zero: not said.
	Arrived time.Time
	// EnvID is the sender's name for the envelope, decoded (RFC 3461 §4.4); "": none.
	EnvID string
	// Return is what the sender wants back if the message has failed (RFC 3461 §4.3): "FULL", "HDRS", or "" for what suits: all of it
	// up to 64 kB, else the header. Other reports have the header only, whatever it says.
	Return string
	// EightBit says that the way to the sender's mailbox carries octets over 127 (8BITMIME). Without it a message that has them can't be
	// attached whole, and its header is instead (RFC 6522 §3).
	EightBit bool
	// UTF8 says that the sender used SMTPUTF8, so that addresses stand as they are and the parts are of the types of RFC 6533. It
	// includes EightBit.
	UTF8 bool
	// Original is the message, from its beginning to its end wherever it stands; nil if it is lost. It is read twice if it is attached whole.
	// Lone CR and LF in it become CRLF and NUL is dropped, as on the way out (see relay).
	Original io.ReadSeeker
	// OriginalSize is how many octets it has; 0: unknown.
	OriginalSize int64
}

// Recipient is what became of the message for one recipient.
type Recipient struct {
	// Addr is the recipient as we have him: an address, or a place in the office. Of a place only programs are told, and only if
	// Original doesn't give an address.
	Addr string
	// Original is the recipient as the sender knows him, type and address, decoded, such as "rfc822;ann@clinic.example" (RFC 3461 §4.2);
	// "": the same as Addr.
	Original string
	// Status is the code of RFC 3463, such as "5.1.1"; what is none becomes that of StatusOf.
	Status string
	// Remote is the name of the server that said Reply; "": it was decided here.
	Remote string
	// Reply is what was said, verbatim, in one line or several; "": nothing.
	Reply string
	// At is the last attempt, of Attempts; zero: there was none, or it isn't known.
	At       time.Time
	Attempts int
	// WillRetryUntil is when a delayed recipient is given up; zero: not known.
	WillRetryUntil time.Time
}

// Write writes the report to w, the header of the mail first. Memory is bounded by the number of recipients, not by the size of the
// message. An error is that of w, or of Original, or says what is missing in r; what was written until then is no report.
func (r *Report) Write(w io.Writer) error {
	switch {
	case r.To == "":
		return errors.New("dsn: a message from nobody is not reported to anybody")
	case len(r.Recipients) == 0:
		return errors.New("dsn: a report needs a recipient to be about")
	case subjects[r.Kind] == "":
		return fmt.Errorf("dsn: a report can't say of a recipient that he is %q", r.Kind)
	}
	o, err := r.survey()
	if err != nil {
		return fmt.Errorf("dsn: reading the message that the report is about: %w", err)
	}
	boundary := r.boundary(o)
	var b bytes.Buffer
	r.header(&b, o, boundary)
	part(&b, boundary)
	r.human(&b, o)
	part(&b, boundary)
	r.machine(&b)
	if o.attach != attachNone {
		part(&b, boundary)
		o.partHeader(&b)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("dsn: %w", err)
	}
	if err := r.copyOriginal(w, o); err != nil {
		return fmt.Errorf("dsn: %w", err)
	}
	if _, err := io.WriteString(w, "\r\n--"+boundary+"--\r\n"); err != nil {
		return fmt.Errorf("dsn: %w", err)
	}
	return nil
}

// boundary is one that nothing in the report can contain: it depends on every octet of it, and the first characters can't stand in
// quoted-printable (RFC 2046 §5.1.1). It needs no randomness, so the same report is always the same.
func (r *Report) boundary(o *original) string {
	h := sha256.New() // a hash takes everything
	_, _ = fmt.Fprintf(h, "%q %q %q %v %x", r.Hostname, r.ID, r.To, r.Now.UnixNano(), o.sum)
	for i := range r.Recipients {
		_, _ = fmt.Fprintf(h, " %q", r.Recipients[i].Reply)
	}
	return fmt.Sprintf("=_report_%x", h.Sum(nil)[:16])
}

// part begins a part.
func part(b *bytes.Buffer, boundary string) { b.WriteString("\r\n--" + boundary + "\r\n") }

var subjects = map[Kind]string{
	Failed: "Not delivered", Delayed: "Waiting", Relayed: "Handed on", Delivered: "Delivered",
}

// header writes the header of the mail.
func (r *Report) header(b *bytes.Buffer, o *original, boundary string) {
	host := r.host()
	field(b, "From", r.mailbox("Outpost mail gateway", r.From))
	field(b, "To", r.mailbox("", r.To))
	field(b, "Subject", r.subject(o))
	field(b, "Date", r.Now.Format(dateLayout))
	field(b, "Message-ID", "<"+atom(r.ID, "report")+"@"+host+">")
	if o.id != "" {
		field(b, "In-Reply-To", o.id)
		field(b, "References", o.id)
	}
	field(b, "Auto-Submitted", "auto-replied") // RFC 3834 §5
	field(b, "MIME-Version", "1.0")
	kind := "delivery-status"
	if r.UTF8 {
		kind = "global-delivery-status" // RFC 6533 §6
	}
	field(b, "Content-Type", "multipart/report; report-type="+kind+"; boundary=\""+boundary+"\"")
	if r.UTF8 || o.eightBit && o.encoding == "8bit" {
		field(b, "Content-Transfer-Encoding", "8bit")
	}
}

// subject names the message by its own subject. One in encoded words stays in them: the mail program that shows the report knows more
// character sets than are known here.
func (r *Report) subject(o *original) string {
	what := clean(o.subject)
	switch {
	case what == "":
		what = "your message to " + r.Recipients[0].name()
	case !isASCII(o.subject):
		what = legible(o.subject)
	}
	what = shorten(what, 300)
	if !r.UTF8 {
		what = encodeWords(what)
	}
	return subjects[r.Kind] + ": " + what
}
