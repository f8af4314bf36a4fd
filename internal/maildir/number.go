package maildir

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// number gives the fresh files their UIDs: those of the list where it has them, else
// new ones, which are made durable in it first.
func (b *Box) number(fresh map[string]found) error { return b.numberInOrder(fresh, nil) }

// numberInOrder is number with the order of names given; those not there are passed
// over. nil: by time.
func (b *Box) numberInOrder(fresh map[string]found, order []string) error {
	path := filepath.Join(b.dir.Root, uidListName)
	unknown, err := b.lookUp(fresh)
	if err != nil || len(unknown) == 0 && b.validity != 0 {
		return err
	}
	release, err := lock(path)
	if err != nil {
		return err
	}
	defer release()
	if unknown, err = b.lookUp(unknown); err != nil {
		return err
	}
	records := make([]uidRecord, 0, len(unknown))
	if order == nil {
		order = inOrder(unknown)
	}
	for _, base := range order {
		if _, ok := unknown[base]; !ok {
			continue
		}
		records = append(records, uidRecord{uid: b.next + uint32(len(records)), base: base}) //nolint:gosec // bounded by the UIDs
	}
	if err := b.record(records); err != nil {
		return err
	}
	for _, rec := range records {
		b.insert(rec, unknown[rec.base])
	}
	return nil
}

// lookUp takes in those files that the list knows, and returns the others.
func (b *Box) lookUp(fresh map[string]found) (map[string]found, error) {
	if b.validity == 0 || changed(filepath.Join(b.dir.Root, uidListName), b.list) {
		if err := b.load(); err != nil {
			return nil, err
		}
	}
	return b.adopt(fresh), nil
}

// load reads the list, and remembers its records of messages that are not here: they are
// gone, or another program has numbered them before they were seen.
func (b *Box) load() error {
	l, info, err := readUIDList(b.dir.Root)
	if err != nil {
		return err
	}
	b.list, b.lines, b.torn, b.absent = info, 0, l == nil, map[string]uidRecord{}
	if l == nil {
		// Gone, or of no use.
		if b.validity != 0 {
			return ErrRenumbered
		}
		return nil
	}
	if b.validity != 0 && b.validity != l.validity {
		return ErrRenumbered
	}
	b.validity, b.next, b.lines, b.torn = l.validity, max(b.next, l.next), len(l.records), l.torn
	for _, rec := range l.records {
		b.absent[rec.base] = rec
	}
	b.renumber()
	return nil
}

// renumber gives up those messages that the list has under another UID, or not any more:
// another program has moved them away and back since they were looked for. They are
// looked for once more, and are new.
func (b *Box) renumber() {
	listed := b.absent
	b.absent = map[string]uidRecord{} // drop adds to it
	outdated := func(m *Mail) bool { return listed[m.name[:m.base]].uid != m.UID }
	b.again = b.again || slices.ContainsFunc(b.mails, outdated)
	b.drop(outdated)
	for base := range b.byBase {
		delete(listed, base)
	}
	b.absent = listed
}

// adopt takes in those files that the list knows, and returns the others.
func (b *Box) adopt(fresh map[string]found) map[string]found {
	unknown := map[string]found{}
	before := len(b.mails)
	for base, f := range fresh {
		rec, ok := b.absent[base]
		if ok {
			b.insert(rec, f)
			delete(b.absent, base)
		} else {
			unknown[base] = f
		}
	}
	if len(b.mails) > before {
		slices.SortFunc(b.mails, func(a, b *Mail) int { return cmp.Compare(a.UID, b.UID) })
	}
	return unknown
}

// insert adds a message at the end.
func (b *Box) insert(rec uidRecord, f found) {
	base, flags := splitInfo(f.name)
	m := &Mail{UID: rec.uid, Flags: flags, name: f.name, base: len(base), isNew: f.isNew, turn: b.turn}
	m.size, m.virtual = sizes(base)
	if m.virtual < 0 {
		m.virtual = rec.virtual()
	}
	b.change(m)
	b.mails = append(b.mails, m)
	b.byBase[m.name[:m.base]] = m
	b.next = max(b.next, rec.uid+1)
}

// inOrder sorts by the time that names begin with, then by the rest: the order of arrival.
func inOrder(fresh map[string]found) []string {
	when := func(base string) int64 {
		digits, _, _ := strings.Cut(base, ".")
		return parseNumber(digits)
	}
	return slices.SortedFunc(maps.Keys(fresh), func(x, y string) int {
		return cmp.Or(cmp.Compare(when(x), when(y)), strings.Compare(x, y))
	})
}

// record makes new records durable. It appends, as Dovecot does, unless the list has
// to be written anew: there is none, it is torn, or most of it is of messages that are gone.
func (b *Box) record(records []uidRecord) error {
	root := b.dir.Root
	if err := b.dir.step("uidlist"); err != nil {
		return err
	}
	if b.validity != 0 && b.list != nil && !b.torn && b.lines <= 2*len(b.mails)+1000 {
		if err := appendUIDs(root, records); err != nil {
			b.torn = true // Perhaps half a line.
			return err
		}
	} else if err := b.rewrite(records); err != nil {
		return err
	}
	b.lines += len(records)
	info, err := os.Stat(filepath.Join(root, uidListName))
	b.list = info
	return err
}

// rewrite writes the list with the messages that are there, and the records.
func (b *Box) rewrite(records []uidRecord) error {
	l, _, err := readUIDList(b.dir.Root)
	if err != nil {
		return err
	}
	if l == nil && b.validity != 0 {
		return ErrRenumbered
	}
	if l == nil {
		validity, err := nextValidity(b.root)
		if err != nil {
			return err
		}
		l = newUIDList(validity)
		b.next = max(b.next, 1)
		for i := range records {
			records[i].uid = b.next + uint32(i) //nolint:gosec // bounded by the UIDs
		}
	}
	l.records = slices.DeleteFunc(l.records, func(rec uidRecord) bool { return b.byBase[rec.base] == nil })
	b.lines = len(l.records)
	l.records = append(l.records, records...)
	l.next = b.next + uint32(len(records)) //nolint:gosec // bounded by the UIDs
	if err := l.replace(b.dir.Root); err != nil {
		return err
	}
	b.validity, b.torn, b.absent = l.validity, false, map[string]uidRecord{}
	return nil
}
