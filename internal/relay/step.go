package relay

// kind is what a reply is awaited to.
type kind uint8

const (
	stepRSET    kind = iota
	stepMAIL         // the sender
	stepRCPT         // one recipient
	stepDATA         // the question for the go-ahead
	stepDot          // a lone dot, where DATA was granted though nobody was accepted
	stepContent      // the content after DATA, or what there is of it so far
	stepChunk        // a chunk with more to come (RFC 3030)
	stepLast         // the last chunk
	stepEnd          // nothing is awaited: all that was written for the message is answered
	stepQUIT
)

// step is something written to which a reply is awaited. Replies come in the order of the steps.
type step struct {
	kind   kind
	t      *transaction
	rcpt   int // for stepRCPT: the place in results
	octets int // of content that the reply answers
}

// name stands for the step in errors.
func (s step) name() string {
	switch s.kind {
	case stepRSET:
		return "RSET"
	case stepMAIL:
		return "MAIL"
	case stepRCPT:
		return "RCPT"
	case stepDATA, stepDot:
		return "DATA"
	case stepQUIT:
		return "QUIT"
	case stepContent, stepChunk, stepLast, stepEnd:
	}
	return "content"
}

// content says that a reply to the message itself is awaited, which may take its time.
func (s step) content() bool {
	return s.kind == stepContent || s.kind == stepChunk || s.kind == stepLast
}

// fits says whether a reply answers the step at all: a refusal always does, and what only QUIT is answered with never.
func (s step) fits(rep reply) bool {
	switch {
	case rep.class() >= 4:
		return true
	case s.kind == stepDATA:
		return rep.class() == 3
	}
	return rep.class() == 2 && rep.code != 221
}

// steps is a first-in, first-out list.
type steps struct {
	list []step
	from int
}

func (q *steps) len() int         { return len(q.list) - q.from }
func (q *steps) first() step      { return q.list[q.from] }
func (q *steps) push(more []step) { q.list = append(q.list, more...) }
func (q *steps) pop() {
	q.list[q.from] = step{}
	q.from++
	switch {
	case q.from == len(q.list):
		q.list, q.from = q.list[:0], 0
	case q.from >= maxSteps:
		q.list, q.from = append(q.list[:0], q.list[q.from:]...), 0
	}
}
