package relay

import "io"

// Message is one message with all its recipients.
type Message struct {
	// From is the envelope sender; "" is the null reverse-path (RFC 5321 §4.5.5).
	From string
	To   []string
	// Size is the number of octets that the body has; zero means unknown. A body that ends before is taken for damaged and not sent.
	Size int64
	// EightBit and UTF8 are what the message needs: octets over 127 in the content, UTF-8 in its header (BODY=8BITMIME, SMTPUTF8).
	EightBit, UTF8 bool
	// EnvID and Return are the sender's for reports (ENVID, decoded, and "FULL" or "HDRS"), Notify and Original those for the recipient at the
	// same place of To (NOTIFY, in capitals, and ORCPT, type and address, decoded). They go to a server with DSN as RFC 3461 §5.2.1 has it;
	// what isn't well formed or too long is left out. The lists may be shorter than To; "" is that nothing was said.
	EnvID, Return    string
	Notify, Original []string
	// Open, never nil, gives the content, header and all, in lines, not dot-stuffed. It is called when the message's turn on the
	// wire has come, from another goroutine than the one that called Drain, and one message at a time; more than once, and to be read
	// from the beginning, where the server lacks 8BITMIME. What it gives is closed before Drain returns.
	Open func() (io.ReadCloser, error)
}

// Result is what became of one recipient.
type Result struct {
	To string
	// Err is nil if the server took the message for this recipient; else *Error.
	Err error
	// Reply is the server's last word on this recipient, or our reason where it said nothing.
	Reply string
	// Doubtful, always with a temporary Err: the server may have taken the message, but its answer didn't come.
	Doubtful bool
	// DSN, only without Err: the server has DSN, so it is the one to report from here on what the sender wanted to know. Without DSN he
	// hears of failures only, as they come, and nobody will tell him of success (RFC 3461 §5.2.2).
	DSN bool
	// Untried, always with an Err and never with Doubtful: the server has not judged this recipient, because the connection was lost,
	// or the server's limit reached, before its turn came. It was no attempt; it may go at once on another connection.
	Untried bool
}

func (r *Result) fail(e *Error) {
	r.Err, r.Reply = e, e.Words()
}

// transaction is one message under way. Once it is in the list of those in flight, the mutex of the drain guards what changes in it.
type transaction struct {
	m       *Message
	results []Result
	// settled says of each recipient that its Result is final.
	settled []bool
	// open are the recipients that are offered to the server, by their place in results; wire are their addresses as they are sent,
	// and from the sender's.
	open []int
	wire []string
	from string
	utf8 bool // an address needs SMTPUTF8
	dsn  bool // the server has DSN

	// What the server has said so far.
	heard   int    // replies to RCPT
	taken   []int  // recipients that it accepted, by their place in results
	refusal *Error // of the message as a whole: MAIL, DATA or content
	limit   bool   // the refusal is about the connection, not about this message
	odd     bool   // it accepted a recipient of a message that it had refused
	full    bool   // the server wants no more recipients for this message
	data    bool   // DATA was answered
	goAhead bool   // with 354
	clean   bool   // no transaction is left open at the server

	// What was done here.
	body    *body
	ended   bool   // the content was written to its end
	doubtAt int64  // how many octets of the stream must have left for the server to be able to accept; 0: what makes it whole wasn't written
	local   *Error // the body failed, not the server; the message was not made whole
	done    bool   // everything that was written for it is answered
}

func newTransaction(m *Message) *transaction {
	t := &transaction{m: m, results: make([]Result, len(m.To)), settled: make([]bool, len(m.To))}
	for i, to := range m.To {
		t.results[i].To = to
	}
	return t
}

// fail makes a recipient's failure final.
func (t *transaction) fail(i int, e *Error) {
	t.settled[i] = true
	t.results[i].fail(e)
}

// postpone leaves a recipient for another transaction.
func (t *transaction) postpone(i int, e *Error) {
	t.fail(i, e)
	t.results[i].Untried = true
}

// failRest settles all that are not, with the message's own failure if it has one, else with e.
func (t *transaction) failRest(e *Error) {
	switch {
	case t.refusal != nil:
		e = t.refusal
	case t.local != nil:
		e = t.local
	}
	for i := range t.results {
		if !t.settled[i] {
			t.fail(i, e)
			t.results[i].Untried = t.limit
		}
	}
}

// accept settles those who were taken.
func (t *transaction) accept(rep reply) {
	words := rep.String()
	for _, i := range t.taken {
		t.settled[i], t.results[i].Reply, t.results[i].DSN = true, words, t.dsn
	}
}

// pointless says that the server won't deliver the message to anybody, whatever else is sent of it.
func (t *transaction) pointless() bool {
	return t.refusal != nil || t.heard == len(t.open) && len(t.taken) == 0
}
