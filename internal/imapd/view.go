package imapd

import (
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"outpost/internal/maildir"
)

// view is what one client knows of the mailbox it has selected: the messages by
// sequence number, and up to which change. The library's MailboxTracker would keep a queue of
// all changes for each client instead, however long it doesn't ask, and goes through
// that for each number it translates; a view costs four octets a message, and nothing
// while nobody asks.
type view struct {
	room     *mailbox
	take     bool // new mail is moved to cur/: the client may write
	readOnly bool

	uids  []uint32 // by sequence number, from 1
	seen  uint64   // Box.Changes at the last update
	rest  bool     // the client was not told of all that are gone
	words int      // keywords it was told of
	told  map[uint32]uint64
	saved []uint32 // the result of the last SEARCH RETURN (SAVE), RFC 5182
}

// update is one untagged response.
type update struct {
	kind  updateKind
	num   uint32 // sequence number, or number of messages
	uid   uint32
	flags []imap.Flag
}

type updateKind int

const (
	expunged updateKind = iota
	exists
	fetched
	defined // FLAGS
)

// open takes all messages as known.
func (v *view) open(b *maildir.Box) {
	v.uids = make([]uint32, 0, len(b.Mails()))
	for _, m := range b.Mails() {
		v.uids = append(v.uids, m.UID)
	}
	v.seen, v.words = b.Changes(), len(b.AllKeywords())
}

// seq is the sequence number of a UID, 0 if the client doesn't know it.
func (v *view) seq(uid uint32) uint32 {
	i, ok := slices.BinarySearch(v.uids, uid)
	if !ok {
		return 0
	}
	return uint32(i + 1) //nolint:gosec // at most as many as UIDs
}

// catchUp tells what has changed since the last time, and makes the view know it.
// Without expunge, messages that are gone keep their numbers (RFC 3501 §7.4.1).
func (v *view) catchUp(b *maildir.Box, expunge bool) []update {
	if b.Changes() == v.seen && (!v.rest || !expunge) {
		return nil
	}
	var list []update
	if words := b.AllKeywords(); len(words) != v.words {
		v.words = len(words)
		list = append(list, update{kind: defined, flags: definedFlags(b)})
	}
	if expunge {
		list = v.leave(list, b)
	}
	v.rest = false
	known := len(v.uids)
	i := 0
	for _, m := range b.Mails() {
		for i < known && v.uids[i] < m.UID {
			v.rest = true // Gone, and not told.
			i++
		}
		switch {
		case i < known && v.uids[i] == m.UID:
			if m.Change > v.seen && v.told[m.UID] != m.Change {
				list = append(list, update{fetched, uint32(i + 1), m.UID, flagList(b, m.Flags)}) //nolint:gosec // as above
			}
			i++
		case i == known:
			v.uids = append(v.uids, m.UID)
		}
		// One that turned up between others is shown when the mailbox is selected again.
	}
	v.rest = v.rest || i < known
	if len(v.uids) > known {
		list = append(list, update{kind: exists, num: uint32(len(v.uids))}) //nolint:gosec // as above
	}
	v.seen, v.told = b.Changes(), nil
	return list
}

// leave takes out those that are gone.
func (v *view) leave(list []update, b *maildir.Box) []update {
	mails := b.Mails()
	kept := v.uids[:0]
	j := 0
	for _, uid := range v.uids {
		for j < len(mails) && mails[j].UID < uid {
			j++
		}
		if j < len(mails) && mails[j].UID == uid {
			kept = append(kept, uid)
			continue
		}
		list = append(list, update{kind: expunged, num: uint32(len(kept) + 1)}) //nolint:gosec // as above
	}
	v.uids = kept
	return list
}

// knows notes that the client is told of a message's flags another way.
func (v *view) knows(m *maildir.Mail) {
	if v.told == nil {
		v.told = map[uint32]uint64{}
	}
	v.told[m.UID] = m.Change
}

// tell writes updates.
func tell(w *imapserver.UpdateWriter, list []update) error {
	for _, u := range list {
		var err error
		switch u.kind {
		case expunged:
			err = w.WriteExpunge(u.num)
		case exists:
			err = w.WriteNumMessages(u.num)
		case fetched:
			err = w.WriteMessageFlags(u.num, imap.UID(u.uid), u.flags)
		case defined:
			err = w.WriteMailboxFlags(u.flags)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// resolve lists the UIDs of a set, ascending, as far as the client knows them. * is the
// last message (RFC 3501 §9, seq-number).
func (v *view) resolve(set imap.NumSet) []uint32 {
	if imap.IsSearchRes(set) {
		return v.known(v.saved)
	}
	marks := make([]bool, len(v.uids)+1) // by sequence number
	n := uint32(len(v.uids))             //nolint:gosec // as above
	if n == 0 {
		return nil
	}
	switch set := set.(type) {
	case imap.SeqSet:
		for _, r := range set {
			from, to := span(r.Start, r.Stop, n)
			for i := from; i <= min(to, n); i++ {
				marks[i] = true
			}
		}
	case imap.UIDSet:
		for _, r := range set {
			from, to := span(uint32(r.Start), uint32(r.Stop), v.uids[n-1])
			i, _ := slices.BinarySearch(v.uids, from)
			for ; i < len(v.uids) && v.uids[i] <= to; i++ {
				marks[i+1] = true
			}
		}
	}
	var uids []uint32
	for i, uid := range v.uids {
		if marks[i+1] {
			uids = append(uids, uid)
		}
	}
	return uids
}

// span puts the last number for *, and both in order.
func span(from, to, last uint32) (uint32, uint32) {
	if from == 0 {
		from = last
	}
	if to == 0 {
		to = last
	}
	return max(min(from, to), 1), max(from, to)
}

// known are those UIDs that the client still knows.
func (v *view) known(uids []uint32) []uint32 {
	var list []uint32
	for _, uid := range uids {
		if v.seq(uid) != 0 {
			list = append(list, uid)
		}
	}
	return list
}

// mails are the messages of UIDs; those that are gone are left out, and counted.
func mails(b *maildir.Box, uids []uint32) (list []*maildir.Mail, gone int) {
	for _, uid := range uids {
		if m := b.Find(uid); m != nil {
			list = append(list, m)
		} else {
			gone++
		}
	}
	return list, gone
}
