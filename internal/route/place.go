package route

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Place is where a message can go in the office: a mailbox here, a folder in it, or a
// mailbox on a mail server of the office. Its text is NAME, NAME/Folder/Sub or
// SERVER:address.
type Place struct {
	// Mailbox is the user or shared folder; "" for a place on a server.
	Mailbox string
	// Folder is one in that mailbox, with / between its levels; "": the inbox.
	Folder string
	// Server and Address are the mailbox on a server; both are empty for a place here.
	Server, Address string
}

// MaxFolder is how long the name of a folder may be, in octets: on the disk it becomes one
// name of at most 255, in modified UTF-7, where a letter may take three times its room.
const MaxFolder = 80

// ParsePlace reads the text of a place. It judges the form only; whether there is such a
// mailbox is Table.Home's to say.
func ParsePlace(text string) (Place, error) {
	i := strings.IndexAny(text, "/:")
	if i < 0 {
		return Place{Mailbox: text}, CheckName(text)
	}
	name, rest := text[:i], text[i+1:]
	if err := CheckName(name); err != nil {
		return Place{}, err
	}
	if text[i] == ':' {
		if err := CheckAddress(rest); err != nil {
			return Place{}, fmt.Errorf("%q: what follows the server's name must be an address there: %w", text, err)
		}
		return Place{Server: name, Address: rest}, nil
	}
	if err := CheckFolder(rest); err != nil {
		return Place{}, fmt.Errorf("%q: %w", text, err)
	}
	return here(name, rest), nil
}

// here is a place in a mailbox here. INBOX is the mailbox itself, in any case (RFC 9051
// §5.1).
func here(name, folder string) Place {
	if strings.EqualFold(folder, "INBOX") {
		folder = ""
	}
	return Place{Mailbox: name, Folder: folder}
}

// CheckFolder tells whether a folder in a mailbox may have this name. Dots separate levels in
// the names of a Maildir++, and * and % are IMAP's wild cards.
func CheckFolder(name string) error {
	if len(name) > MaxFolder || !utf8.ValidString(name) {
		return fmt.Errorf("the folder's name must be UTF-8 of at most %d octets", MaxFolder)
	}
	for level := range strings.SplitSeq(name, "/") {
		bad := func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune(`.*%\:`, r) }
		if level == "" || strings.TrimSpace(level) != level || strings.ContainsFunc(level, bad) {
			return errors.New(`each level of a folder's name needs letters, without space around them, and none of . * % \ : in it`)
		}
	}
	return nil
}

// String gives the place's text.
func (p Place) String() string {
	switch {
	case p.Server != "":
		return p.Server + ":" + p.Address
	case p.Folder != "":
		return p.Mailbox + "/" + p.Folder
	}
	return p.Mailbox
}

// key is equal for places that are one, however they are written.
func (p Place) key() Place {
	if p.Server != "" {
		p.Address = canonical(p.Address).String()
	}
	return p
}

// collapse leaves each place once. Where a message goes to a mailbox and to a folder in it,
// the folder is meant: its owner needs it only once.
func collapse(list []Place) []Place {
	seen := make(map[Place]bool, len(list))
	within := map[string]bool{} // mailboxes with a folder in the list
	for _, p := range list {
		if p.Folder != "" {
			within[p.Mailbox] = true
		}
	}
	var out []Place
	for _, p := range list {
		if k := p.key(); !seen[k] && !(p.Server == "" && p.Folder == "" && within[p.Mailbox]) {
			seen[k] = true
			out = append(out, p)
		}
	}
	return out
}

func texts(list []Place) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}
