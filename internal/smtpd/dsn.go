package smtpd

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"outpost/internal/dsn"
	"outpost/internal/mailaddr"
	"outpost/queue"
)

// What a server has to take of these parameters (RFC 3461 §5.4) is all that is taken: they are kept with every message and recipient.
const (
	maxEnvID    = 100
	maxOriginal = 500
)

// wish is what the sender wants to be told of a recipient, as in queue.Recipient.
type wish struct{ notify, original string }

// wishes reads the parameters of RCPT. go-smtp has decoded them and knows the words of NOTIFY.
func wishes(opt *smtp.RcptOptions) (wish, *smtp.SMTPError) {
	var w wish
	if opt == nil {
		return w, nil
	}
	words := make([]string, len(opt.Notify))
	for i, word := range opt.Notify {
		words[i] = string(word)
	}
	w.notify = strings.Join(words, ",")
	addr := opt.OriginalRecipient
	switch {
	case addr == "":
		return w, nil
	case len(addr) > maxOriginal:
		return w, errLongOriginal
	case !utf8.ValidString(addr) || strings.ContainsFunc(addr, unicode.IsControl):
		return w, errBadOriginal
	}
	w.original = strings.ToLower(string(opt.OriginalRecipientType)) + ";" + addr
	return w, nil
}

// of puts the wish into a recipient that Resolve gave, who was addressed as addr. What Resolve has said itself stays. A place in the office is not
// what the sender knows, so what he wrote is kept beside it, whether he asked for that or not.
func (w wish) of(r queue.Recipient, addr string) queue.Recipient {
	r.State = cmp.Or(r.State, queue.Waiting)
	r.Notify, r.Original = cmp.Or(r.Notify, w.notify), cmp.Or(r.Original, w.original)
	if r.Original == "" && r.Where == queue.Local {
		kind := "rfc822"
		if !mailaddr.IsASCII(addr) {
			kind = "utf-8" // RFC 6533 §3
		}
		r.Original = kind + ";" + addr
	}
	return r
}

// untold is the refusal of a recipient who has failed and of whom no report would
// tell the sender later: he wants none, or there is nobody to send one to. nil for
// all others. RFC 3461 §5.1 wants the same reply with NOTIFY as without; but taken in
// silence the mail would be lost without anybody's knowledge, and most servers refuse
// such a recipient in any case.
func untold(from string, r *queue.Recipient) *smtp.SMTPError {
	if r.State != queue.Failed || from != "" && r.Wants("FAILURE") {
		return nil
	}
	_, _, text := dsn.Split(r.Reply)
	var enhanced smtp.EnhancedCode
	_, err := fmt.Sscanf(dsn.StatusOf(r.Reply, true), "%d.%d.%d", &enhanced[0], &enhanced[1], &enhanced[2])
	if err != nil || enhanced[0] != 5 {
		enhanced = smtp.EnhancedCode{5, 0, 0}
	}
	text = cmp.Or(strings.Join(strings.Fields(text), " "), "It can't be delivered to this address")
	return &smtp.SMTPError{Code: 550, EnhancedCode: enhanced, Message: text}
}
