package maildir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// keywordsName is Dovecot's file of a folder's keywords: a line "<number> <name>"
// each, where 0 is the letter a.
const keywordsName = "dovecot-keywords"

// maxKeyword bounds a name; mail programs use some twenty letters.
const maxKeyword = 100

// maxKeywordLines bounds how much of a file is read: Dovecot goes on numbering where
// there are no letters any more.
const maxKeywordLines = 10_000

// ErrKeywords means that a folder has as many keywords as there are letters. It is
// permanent.
var ErrKeywords = errors.New("the folder has 26 keywords already, and no more fit into a Maildir")

// keywords are the names of a folder, by their letters; "" where there is none.
type keywords struct {
	names [maxKeywords]string
	rest  []string // lines that have no letter, kept
	file  fs.FileInfo
}

// parseKeywords reads the file. What makes no sense is left out.
func parseKeywords(r io.Reader) (k keywords, err error) {
	in := bufio.NewScanner(r)
	for lines := 0; in.Scan() && lines < maxKeywordLines; lines++ {
		number, name, ok := strings.Cut(in.Text(), " ")
		i, err := strconv.Atoi(number)
		switch {
		case !ok || err != nil || i < 0 || !validKeyword(name):
		case i >= maxKeywords:
			k.rest = append(k.rest, in.Text())
		case k.names[i] == "" && k.find(name) < 0:
			k.names[i] = name
		}
	}
	return k, in.Err()
}

// validKeyword tells whether a name is an atom (RFC 3501 §9), and not too long.
func validKeyword(name string) bool {
	return name != "" && len(name) <= maxKeyword && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
	})
}

// find is a keyword's number, -1 if there is none. Case makes no difference.
func (k *keywords) find(name string) int {
	for i, have := range k.names {
		if have != "" && strings.EqualFold(have, name) {
			return i
		}
	}
	return -1
}

func (k *keywords) format(w io.Writer) error {
	b := bufio.NewWriter(w) // It keeps its first error for Flush.
	for i, name := range k.names {
		if name != "" {
			_, _ = fmt.Fprintf(b, "%d %s\n", i, name)
		}
	}
	for _, line := range k.rest {
		_, _ = fmt.Fprintln(b, line)
	}
	return b.Flush()
}

// readKeywords reads a folder's keywords, none if it has no file.
func readKeywords(dir string) (keywords, error) {
	f, err := os.Open(filepath.Join(dir, keywordsName))
	if errors.Is(err, fs.ErrNotExist) {
		return keywords{}, nil
	}
	if err != nil {
		return keywords{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return keywords{}, err
	}
	k, err := parseKeywords(f)
	k.file = info
	return k, err
}

// stale tells whether the file has changed since it was read.
func (k *keywords) stale(dir string) bool {
	return changed(filepath.Join(dir, keywordsName), k.file)
}

// changed tells whether path is another file than the one that info was taken of.
func changed(path string, info fs.FileInfo) bool {
	now, err := os.Stat(path)
	if err != nil || info == nil {
		return !errors.Is(err, fs.ErrNotExist) || info != nil
	}
	return now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime()) || !os.SameFile(now, info)
}

// addKeyword gives a new keyword its letter, durably.
func addKeyword(dir, name string) (keywords, error) {
	path := filepath.Join(dir, keywordsName)
	release, err := lock(path)
	if err != nil {
		return keywords{}, err
	}
	defer release()
	k, err := readKeywords(dir)
	if err != nil || k.find(name) >= 0 {
		return k, err
	}
	for i := range k.names {
		if k.names[i] == "" {
			k.names[i] = name
			if err := writeFile(path, k.format); err != nil {
				return keywords{}, err
			}
			return readKeywords(dir)
		}
	}
	return k, ErrKeywords
}
