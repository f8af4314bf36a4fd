package queue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// Where says which way a recipient is reached.
type Where string

// The ways. There is no zero value: a recipient always has one of them.
const (
	Local  Where = "local"  // delivered in the office by the mailroom
	Remote Where = "remote" // goes to the smarthost
)

// State is where a recipient stands.
type State string

// The states. "" given to Add becomes Waiting.
const (
	Waiting State = "waiting" // to be tried
	Sending State = "sending" // its content may be on the line now; see Recipient.Doubtful
	Sent    State = "sent"    // accepted by the far end or delivered in the office: final
	Failed  State = "failed"  // refused for good; the row stays until it is Returned or a person ends it
	Held    State = "held"    // waits for a person's decision
	// Returned: failed, and whoever had to know of it was told: final.
	Returned State = "returned"
)

// Origin says how a message came in.
type Origin string

// The origins. There is no zero value.
const (
	Submitted Origin = "submitted" // by a mail program on the office network
	Collected Origin = "collected" // pulled from a box; sent out again only by a rule, see Recipient.By
	Notice    Origin = "notice"    // written by us to somebody in the office; never sent out
)

// Recipient is one recipient of a message and how far it got.
type Recipient struct {
	// Addr is the address of a Remote recipient, and of a Local one the place in the office
	// (see package route).
	Addr  string `json:"addr"`
	Where Where  `json:"where"`
	State State  `json:"state"`
	// Attempts counts the tries so far; At is the last one's time, zero = never tried.
	Attempts int       `json:"attempts,omitempty"`
	At       time.Time `json:"at,omitzero"`
	// Reply is the peer's last line, verbatim, or our own reason. Octets that are
	// not UTF-8 come back from the database as U+FFFD.
	Reply string `json:"reply,omitempty"`
	// Doubtful: the line died, or we were killed, after the content went out and
	// before the reply came. It is sent again, so it may arrive twice.
	Doubtful bool `json:"doubtful,omitempty"`
	// Call is the ledger ID of the call of the last attempt; 0 = none.
	Call uint64 `json:"call,omitempty"`
	// By is the rule that sends a Collected message out to this Remote recipient; ""
	// elsewhere.
	By string `json:"by,omitempty"`
	// Notify is when the sender wants to be told (RFC 3461 §4.1): "NEVER", or some of
	// SUCCESS, FAILURE and DELAY, with commas; "": he didn't say.
	Notify string `json:"notify,omitempty"`
	// Original is the recipient as the sender knows him (ORCPT, RFC 3461 §4.2), such as
	// "rfc822;ann@clinic.example", decoded; "": not given.
	Original string `json:"original,omitempty"`
	// Told is when the sender was told that the message waits, or somebody that it is held;
	// zero = not yet.
	Told time.Time `json:"told,omitzero"`
	// Tell: the recipient is Sent, and the sender is still to be told, as he wished.
	Tell bool `json:"tell,omitempty"`
}

// Message is an envelope: what is known of a message besides its content.
type Message struct {
	// ID names the message and its body. Set by Add; IDs sort by age.
	ID spool.ID `json:"id"`
	// Size is the body's length in octets. Set by Add.
	Size   int64  `json:"size"`
	Origin Origin `json:"origin"`
	// From is the envelope sender; "" is the null reverse-path (RFC 5321 §4.5.5).
	From string      `json:"from"`
	To   []Recipient `json:"to"`
	// Box and UIDL say where a Collected message came from. The row's UIDL is for
	// people: octets that are not UTF-8 come back as U+FFFD. The seen-list keeps
	// them exactly.
	Box  string `json:"box,omitempty"`
	UIDL string `json:"uidl,omitempty"`
	// Listed is the size in octets by which the box's server knew it; 0: not known.
	Listed int64 `json:"listed,omitempty"`
	// Print identifies a Collected message by its header, should its box be numbered anew; "":
	// it has nothing that could. It is kept with the UIDL.
	Print string `json:"print,omitempty"`
	// Copies is the same text for all copies of a Collected message, whatever box they came
	// through: each recipient gets one of them. "": it is nobody's copy.
	Copies string `json:"copies,omitempty"`
	// Received is when we got it, in UTC. Set by Add when zero.
	Received time.Time `json:"received"`
	// User is who submitted it, "" = not authenticated; Client is the client's
	// address.
	User   string `json:"user,omitempty"`
	Client string `json:"client,omitempty"`
	// EightBit: BODY=8BITMIME was asked for (RFC 6152 §2).
	EightBit bool `json:"eight_bit,omitempty"`
	// UTF8: SMTPUTF8 was asked for (RFC 6531 §3.4).
	UTF8 bool `json:"utf8,omitempty"`
	// EnvID and Return are the sender's for notifications (RFC 3461 §4.4, §4.3): a name for
	// the envelope, decoded, and "FULL" or "HDRS"; "": not given.
	EnvID  string `json:"envid,omitempty"`
	Return string `json:"return,omitempty"`
	// Route is why the message goes where it goes, a line for a person; "": nothing to say.
	Route string `json:"route,omitempty"`
}

// Waits reports whether a recipient there is to be tried.
func (m *Message) Waits(w Where) bool {
	return slices.ContainsFunc(m.To, func(r Recipient) bool { return r.Where == w && r.State == Waiting })
}

func (m *Message) ways() ways { return ways{local: m.Waits(Local), remote: m.Waits(Remote)} }

// Wants tells whether the sender is to be told of an event, "SUCCESS", "FAILURE" or "DELAY". Who didn't say wants
// the last two (RFC 3461 §4.1).
func (r *Recipient) Wants(event string) bool {
	if r.Notify == "" {
		return event != "SUCCESS"
	}
	return slices.Contains(strings.Split(r.Notify, ","), event)
}

// done says that nothing is left to do for any recipient.
func (m *Message) done() bool {
	return !slices.ContainsFunc(m.To, func(r Recipient) bool { return r.State != Sent && r.State != Returned || r.Tell })
}

// check refuses what must never be in a row: Add and Update both come by here.
func (m *Message) check() error {
	switch {
	case m.Origin != Submitted && m.Origin != Collected && m.Origin != Notice:
		return fmt.Errorf("%w: origin is %q", ErrInvalid, m.Origin)
	case len(m.To) == 0:
		return fmt.Errorf("%w: no recipients", ErrInvalid)
	case (m.UIDL != "" || m.Copies != "") && m.Origin != Collected:
		return fmt.Errorf("%w: only collected mail has a UIDL or copies", ErrInvalid)
	case !utf8.ValidString(m.From):
		// JSON would change it without a word. Addresses are ASCII or UTF-8: RFC 6531 §3.3.
		return fmt.Errorf("%w: sender %q is not UTF-8", ErrInvalid, m.From)
	}
	for i := range m.To {
		if err := m.checkRecipient(&m.To[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *Message) checkRecipient(r *Recipient) error {
	switch r.State {
	case Waiting, Sending, Sent, Failed, Held, Returned:
	default:
		return fmt.Errorf("%w: recipient %q is in state %q", ErrInvalid, r.Addr, r.State)
	}
	switch {
	case r.Where != Local && r.Where != Remote:
		return fmt.Errorf("%w: recipient %q is neither local nor remote but %q", ErrInvalid, r.Addr, r.Where)
	case r.Addr == "" || !utf8.ValidString(r.Addr):
		return fmt.Errorf("%w: recipient %q is empty or not UTF-8", ErrInvalid, r.Addr)
	case r.Where == Remote && m.Origin != Submitted && (m.Origin == Notice || r.By == ""):
		return fmt.Errorf("%w: recipient %s", ErrRelay, r.Addr)
	}
	return nil
}

// decode reads a row. Its error is ErrCorrupt. What the row says is not judged
// again: a rule that grows stricter must not make old mail unreadable.
func decode(id, row []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(row, &m); err != nil {
		return m, fmt.Errorf("queue: the row of message %.40q is %w: %w", id, ErrCorrupt, err)
	}
	if string(m.ID) != string(id) || !m.ID.Valid() {
		return m, fmt.Errorf("queue: the row of message %.40q is %w: it says it is %.40q", id, ErrCorrupt, m.ID)
	}
	return m, nil
}

// load reads the row of a message in tx.
func load(tx *bbolt.Tx, id spool.ID) (Message, error) {
	row := bucketMessages.in(tx).Get([]byte(id))
	if row == nil {
		return Message{}, fmt.Errorf("message %.40s: %w", id, ErrNotFound)
	}
	return decode([]byte(id), row)
}

// store returns the write that stores m.
func store(tx *bbolt.Tx, m *Message) (write func() error, err error) {
	row, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w: %w", m.ID, ErrInvalid, err)
	}
	return func() error { return bucketMessages.in(tx).Put([]byte(m.ID), row) }, nil
}
