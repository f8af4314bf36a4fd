package imapd

import (
	"strings"
	"unicode"

	"github.com/emersion/go-imap/v2"

	"outpost/spool"
)

// no makes a NO answer with its code (RFC 5530). The text is made safe for a line.
func no(code imap.ResponseCode, text string) *imap.Error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)}
}

// The answers that are always the same. They are never changed.
var (
	errNoMailbox    = no(imap.ResponseCodeNonExistent, "There is no such mailbox")
	errTryCreate    = no(imap.ResponseCodeTryCreate, "There is no such mailbox")
	errReadOnly     = no(imap.ResponseCodeNoPerm, "You may only read here")
	errOverQuota    = no(imap.ResponseCodeOverQuota, "The mailbox is full")
	errTooBig       = no(imap.ResponseCodeTooBig, "The message is too big")
	errKeywords     = no(imap.ResponseCodeLimit, "The mailbox has 26 keywords already, and there is room for no more")
	errExpunged     = no("EXPUNGEISSUED", "Some of the messages are gone")
	errLeaving      = no(imap.ResponseCodeUnavailable, "The connection is being closed")
	errNotSelected  = &imap.Error{Type: imap.StatusResponseTypeBad, Text: "No mailbox is selected"}
	errNoBinary     = &imap.Error{Type: imap.StatusResponseTypeBad, Text: "BINARY is not offered"}
	errNoSpecialUse = no("USEATTR", "Special uses are fixed here")
)

// spoolFull tells whether an error means that the disk is full.
func spoolFull(err error) bool { return spool.IsFull(err) }
