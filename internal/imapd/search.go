package imapd

import (
	"errors"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"outpost/internal/maildir"
)

// Search is SEARCH, with what RFC 4731 (ESEARCH) and RFC 5182 (SEARCHRES) ask for.
func (s *session) Search(kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions) (*imap.SearchData, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.end()
	if s.view == nil {
		return nil, errNotSelected
	}
	q := s.prepare(criteria)
	var found []uint32
	for _, uid := range s.view.uids {
		if s.srv.ctx.Err() != nil {
			return nil, errLeaving
		}
		hit, err := s.tryOne(q, uid)
		if err != nil {
			return nil, s.trouble("SEARCH", err)
		}
		if hit {
			found = append(found, uid)
		}
	}
	if options.ReturnSave {
		s.view.saved = found
	}
	return s.result(kind, found), nil
}

// result puts the UIDs that were found into the form that was asked for.
func (s *session) result(kind imapserver.NumKind, found []uint32) *imap.SearchData {
	data := &imap.SearchData{Count: uint32(len(found))} //nolint:gosec // at most as many as UIDs
	var seqs imap.SeqSet
	var uids imap.UIDSet
	for _, uid := range found {
		num := uid
		if kind == imapserver.NumKindSeq {
			num = s.view.seq(uid)
			seqs.AddNum(num)
		} else {
			uids.AddNum(imap.UID(uid))
		}
		if data.Min == 0 {
			data.Min = num
		}
		data.Max = num
	}
	data.All = uids
	if kind == imapserver.NumKindSeq {
		data.All = seqs
	}
	return data
}

// query is a criteria with its sets resolved.
type query struct {
	*imap.SearchCriteria
	sets []map[uint32]bool // of UIDs: the message is in all
	not  []*query
	or   [][2]*query
	text []needle // TEXT: header or body
	body []needle
	head []headerNeedle
}

// prepare resolves sequence numbers and UIDs as the client sees them now.
func (s *session) prepare(c *imap.SearchCriteria) *query {
	q := &query{SearchCriteria: c}
	add := func(set imap.NumSet) {
		in := map[uint32]bool{}
		for _, uid := range s.view.resolve(set) {
			in[uid] = true
		}
		q.sets = append(q.sets, in)
	}
	for _, set := range c.SeqNum {
		add(set)
	}
	for _, set := range c.UID {
		add(set)
	}
	for i := range c.Not {
		q.not = append(q.not, s.prepare(&c.Not[i]))
	}
	for i := range c.Or {
		q.or = append(q.or, [2]*query{s.prepare(&c.Or[i][0]), s.prepare(&c.Or[i][1])})
	}
	for _, t := range c.Text {
		q.text = append(q.text, newNeedle(t))
	}
	for _, t := range c.Body {
		q.body = append(q.body, newNeedle(t))
	}
	for _, h := range c.Header {
		q.head = append(q.head, headerNeedle{name: h.Key, value: newNeedle(h.Value)})
	}
	return q
}

// candidate is one message, with what was read of it so far.
type candidate struct {
	s    *session
	l    letter
	head []byte
	read bool // head was
}

// tryOne tells whether a message matches. One that is gone doesn't.
func (s *session) tryOne(q *query, uid uint32) (bool, error) {
	c := &candidate{s: s}
	var err error
	if c.l, err = s.look(uid, &imap.FetchOptions{}); err == nil {
		var hit bool
		if hit, err = c.matches(q); err == nil {
			return hit, nil
		}
	}
	if errors.Is(err, maildir.ErrGone) {
		return false, nil
	}
	return false, err
}

// matches goes from the cheap to the dear: what is known, then the header, then the body.
func (c *candidate) matches(q *query) (bool, error) {
	for _, set := range q.sets {
		if !set[c.l.uid] {
			return false, nil
		}
	}
	for _, flag := range q.Flag {
		if !c.has(flag) {
			return false, nil
		}
	}
	for _, flag := range q.NotFlag {
		if c.has(flag) {
			return false, nil
		}
	}
	for _, step := range []func(*query) (bool, error){c.matchesFacts, c.matchesHeader, c.matchesOthers, c.matchesText} {
		if ok, err := step(q); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (c *candidate) has(flag imap.Flag) bool {
	for _, f := range c.l.flags {
		if equalFlag(f, flag) {
			return true
		}
	}
	return false
}

// matchesFacts looks at size and date.
func (c *candidate) matchesFacts(q *query) (bool, error) {
	if q.Larger == 0 && q.Smaller == 0 && q.Since.IsZero() && q.Before.IsZero() {
		return true, nil
	}
	ok := true
	err := c.s.view.room.peek(func(b *maildir.Box) error {
		if q.Larger != 0 || q.Smaller != 0 {
			n, err := b.Size(c.l.mail)
			if err != nil {
				return gone(err)
			}
			ok = (q.Larger == 0 || n > q.Larger) && (q.Smaller == 0 || n < q.Smaller)
		}
		if ok && (!q.Since.IsZero() || !q.Before.IsZero()) {
			t, err := b.Date(c.l.mail)
			if err != nil {
				return gone(err)
			}
			ok = between(t.Local(), q.Since, q.Before)
		}
		return nil
	})
	return ok, err
}

// matchesOthers looks at NOT and OR.
func (c *candidate) matchesOthers(q *query) (bool, error) {
	for _, n := range q.not {
		if hit, err := c.matches(n); hit || err != nil {
			return false, err
		}
	}
	for _, pair := range q.or {
		hit, err := c.matches(pair[0])
		if err == nil && !hit {
			hit, err = c.matches(pair[1])
		}
		if !hit || err != nil {
			return false, err
		}
	}
	return true, nil
}
