package imapd

import (
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"

	"outpost/internal/maildir"
)

// systemFlags are those that IMAP and Maildir have both.
var systemFlags = [...]struct {
	imap imap.Flag
	file maildir.Flags
}{
	{imap.FlagAnswered, maildir.Answered},
	{imap.FlagFlagged, maildir.Flagged},
	{imap.FlagDeleted, maildir.Deleted},
	{imap.FlagSeen, maildir.Seen},
	{imap.FlagDraft, maildir.Draft},
}

// flagList is a message's flags as IMAP has them.
func flagList(b *maildir.Box, f maildir.Flags) []imap.Flag {
	list := []imap.Flag{}
	for _, s := range systemFlags {
		if f&s.file != 0 {
			list = append(list, s.imap)
		}
	}
	for _, word := range b.Keywords(f) {
		list = append(list, imap.Flag(word))
	}
	return list
}

// definedFlags are all flags there can be, for FLAGS.
func definedFlags(b *maildir.Box) []imap.Flag {
	var all maildir.Flags
	for _, s := range systemFlags {
		all |= s.file
	}
	list := flagList(b, all)
	for _, word := range b.AllKeywords() {
		list = append(list, imap.Flag(word))
	}
	return list
}

// fileFlags turns IMAP's flags into the folder's. With add, keywords that are new get
// their letters; without, they are left out.
func fileFlags(b *maildir.Box, list []imap.Flag, add bool) (f maildir.Flags, err error) {
	for _, flag := range list {
		one, err := fileFlag(b, flag, add)
		if err != nil {
			return 0, err
		}
		f |= one
	}
	return f, nil
}

func fileFlag(b *maildir.Box, flag imap.Flag, add bool) (maildir.Flags, error) {
	for _, s := range systemFlags {
		if strings.EqualFold(string(s.imap), string(flag)) {
			return s.file, nil
		}
	}
	if strings.HasPrefix(string(flag), `\`) {
		return 0, nil // \Recent, or one that isn't defined: never set.
	}
	f, err := b.Keyword(string(flag), add)
	if errors.Is(err, maildir.ErrKeywords) {
		return 0, errKeywords
	}
	return f, err
}
