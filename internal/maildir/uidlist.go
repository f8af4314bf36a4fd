package maildir

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"outpost/spool"
)

// uidListName is Dovecot's file of a folder's UIDs, version 3:
//
//	3 V<UIDVALIDITY> N<next UID> G<GUID>
//	<UID> [W<size with CRLF> …] :<file name without flags>
//
// Lines may have been appended since the header was written, so the next UID is at
// least one above the last line's.
const uidListName = "dovecot-uidlist"

// maxUIDLine bounds a line: a name has 255 octets at most, and few fields go before.
const maxUIDLine = 4096

// uidRecord is one line.
type uidRecord struct {
	uid   uint32
	extra string // fields before the colon, each with a space behind it
	base  string
}

// uidList is the file as it was read.
type uidList struct {
	validity, next uint32
	extra          []string // fields of the header that are not V or N
	records        []uidRecord
	torn           bool // ends in what a power cut left: to be rewritten
}

// newUIDList begins one with a GUID of its own.
func newUIDList(validity uint32) *uidList {
	var guid [16]byte
	rand.Read(guid[:])
	return &uidList{validity: validity, next: 1, extra: []string{"G" + hex.EncodeToString(guid[:])}}
}

// errUIDList means that a file's header is not of a version that is known.
var errUIDList = errors.New("maildir: not a list of UIDs that can be read")

// parseUIDList reads a list. What follows a line that makes no sense is left out: it
// was never durable, or the file is damaged. Either way the list is to be rewritten.
func parseUIDList(r io.Reader) (*uidList, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	line, err := uidLine(in)
	if err != nil {
		return nil, err
	}
	l := &uidList{next: 1}
	old, err := l.parseHeader(string(line))
	if err != nil {
		return nil, err
	}
	var last uint32
	for {
		line, err := uidLine(in)
		if err == io.EOF {
			return l, nil
		}
		rec, ok := uidRecord{}, false
		if err == nil {
			rec, ok = parseUIDRecord(line, old)
		} else if !errors.Is(err, errUIDList) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		if !ok || rec.uid <= last {
			l.torn = true
			return l, tornEnd(in, err)
		}
		last = rec.uid
		l.records = append(l.records, rec)
		l.next = max(l.next, rec.uid+1)
	}
}

// tornEnd looks at what follows a line that makes no sense. A power cut leaves
// nothing that does. If there are lines that do, their UIDs are known to mail
// programs, and which ones can't be told any more: the list is of no use.
func tornEnd(in *bufio.Reader, err error) error {
	for !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		var line []byte
		line, err = uidLine(in)
		if err == nil {
			if _, ok := parseUIDRecord(line, false); ok {
				return errUIDList
			}
		} else if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errUIDList) {
			return err
		}
	}
	return nil
}

// uidLine reads a line. It ends in io.EOF between two, in io.ErrUnexpectedEOF within one.
func uidLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case err == io.EOF && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err == bufio.ErrBufferFull || len(line) > maxUIDLine:
		return nil, errUIDList
	case err != nil:
		return nil, err
	}
	return line[:len(line)-1], nil
}

// parseHeader takes version 3, and the old version 1 ("1 <UIDVALIDITY> <next UID>").
func (l *uidList) parseHeader(line string) (old bool, err error) {
	fields := strings.Fields(line)
	if len(fields) == 3 && fields[0] == "1" {
		old = true
		fields = []string{"3", "V" + fields[1], "N" + fields[2]}
	}
	if len(fields) == 0 || fields[0] != "3" {
		return false, errUIDList
	}
	for _, field := range fields[1:] {
		n, err := strconv.ParseUint(field[1:], 10, 32)
		switch {
		case field[0] == 'V' && err == nil:
			l.validity = uint32(n)
		case field[0] == 'N' && err == nil:
			l.next = max(l.next, uint32(n))
		default:
			l.extra = append(l.extra, field)
		}
	}
	if l.validity == 0 {
		return false, errUIDList
	}
	return old, nil
}

// parseUIDRecord takes a line of version 3, or an old one, which has the name at once.
func parseUIDRecord(line []byte, old bool) (uidRecord, bool) {
	number, rest, ok := bytes.Cut(line, []byte(" "))
	uid := parseNumber(string(number))
	if !ok || uid < 1 || uid >= 1<<32-1 {
		return uidRecord{}, false
	}
	rec := uidRecord{uid: uint32(uid)}
	if !old {
		extra, name, ok := bytes.Cut(rest, []byte(":"))
		if !ok || len(extra) > 0 && extra[len(extra)-1] != ' ' {
			return uidRecord{}, false
		}
		rec.extra, rest = string(extra), name
	}
	rec.base, _ = splitInfo(string(rest))
	return rec, validBase(rec.base) && !strings.ContainsAny(rec.extra, "\x00\r")
}

// validBase tells whether a file's name can stand in the list.
func validBase(base string) bool {
	return base != "" && base[0] != '.' && len(base) <= maxUIDLine/2 && !strings.ContainsAny(base, "\x00\r\n/")
}

// virtual is the size that the line tells, -1 if it doesn't.
func (r uidRecord) virtual() int64 {
	for field := range strings.FieldsSeq(r.extra) {
		if field[0] == 'W' {
			return parseNumber(field[1:])
		}
	}
	return -1
}

func (r uidRecord) write(w *bufio.Writer) {
	// The writer keeps its first error for Flush.
	_, _ = w.WriteString(strconv.FormatUint(uint64(r.uid), 10))
	_, _ = w.WriteString(" ")
	_, _ = w.WriteString(r.extra)
	_, _ = w.WriteString(":")
	_, _ = w.WriteString(r.base)
	_ = w.WriteByte('\n')
}

// format writes the whole list, ordered by UID.
func (l *uidList) format(w io.Writer) error {
	b := bufio.NewWriterSize(w, 64<<10)
	_, _ = fmt.Fprintf(b, "3 V%d N%d", l.validity, l.next)
	for _, field := range l.extra {
		_, _ = fmt.Fprintf(b, " %s", field)
	}
	_ = b.WriteByte('\n')
	slices.SortFunc(l.records, func(a, b uidRecord) int { return cmp.Compare(a.uid, b.uid) })
	for _, rec := range l.records {
		rec.write(b)
	}
	return b.Flush()
}

// readUIDList reads a folder's list and what file it was; nil if there is none.
func readUIDList(dir string) (*uidList, fs.FileInfo, error) {
	f, err := os.Open(filepath.Join(dir, uidListName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	l, err := parseUIDList(io.LimitReader(f, info.Size()))
	if err != nil && (errors.Is(err, errUIDList) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		// Nothing of it can be used. A new UIDVALIDITY tells the mail programs.
		return nil, info, nil
	}
	return l, info, err
}

// replace writes the whole list: a file beside it, fsynced, renamed, the folder
// fsynced. The caller has the lock.
func (l *uidList) replace(dir string) error {
	return writeFile(filepath.Join(dir, uidListName), l.format)
}

// appendUIDs adds lines to the list that is there, and returns when they are durable.
// The caller has the lock, and knows that the file ends in a whole line.
func appendUIDs(dir string, records []uidRecord) error {
	f, err := os.OpenFile(filepath.Join(dir, uidListName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	for _, rec := range records {
		rec.write(b)
	}
	if err := errors.Join(b.Flush(), f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// writeFile replaces path by what write writes, durably and at one go.
func writeFile(path string, write func(io.Writer) error) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Sync()); err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return spool.SyncDir(filepath.Dir(path))
}
