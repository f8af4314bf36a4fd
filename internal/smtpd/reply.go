package smtpd

import (
	"errors"
	"fmt"
	"net"

	"github.com/emersion/go-smtp"
)

// reply makes an answer with its enhanced status code (RFC 3463).
func reply(code, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

// The answers that are always the same. They are never changed.
var (
	errNestedMail    = reply(503, 5, 5, 1, "A message is under way already; finish it or send RSET")
	errNeedsUTF8     = reply(553, 5, 6, 7, "An address with other than ASCII letters needs SMTPUTF8") // RFC 6531 §3.5
	errNoRecipients  = reply(503, 5, 5, 1, "There is no recipient")
	errAuthInMail    = reply(503, 5, 5, 1, "AUTH is not allowed within a mail transaction")
	errBadLogin      = reply(535, 5, 7, 8, "The user name or the password is wrong")
	errTooManyLogins = reply(421, 4, 7, 0, "Too many failed logins, connect again")
	errDiskFull      = reply(452, 4, 3, 1, "The gateway's disk is full, try again later") // RFC 5321 §4.2.3
	errLocal         = reply(451, 4, 3, 0, "Local error in processing, try again later")  // RFC 5321 §4.2.3
	errLeaving       = reply(421, 4, 3, 2, "The gateway is shutting down, try again later")
	errSpoilt        = reply(421, 4, 3, 0, "A message was given up half-way, connect again")
	errLost          = reply(421, 4, 4, 2, "The connection was lost before the message was complete")
	errLongEnvID     = reply(501, 5, 5, 4, fmt.Sprintf("ENVID is longer than %d characters", maxEnvID))
	errLongOriginal  = reply(501, 5, 5, 4, fmt.Sprintf("ORCPT is longer than %d characters", maxOriginal))
	errBadOriginal   = reply(501, 5, 5, 4, "ORCPT has characters that are not text")
	errTooManyHops   = reply(554, 5, 4, 6, fmt.Sprintf("The message goes in circles: more than %d Received lines", maxHops))
	errLongLine      = reply(554, 5, 6, 0, fmt.Sprintf("A line of the message is longer than %d octets", maxLine))
	errUnclearEnd    = reply(554, 5, 6, 0, "A line of the message ends in CR CR LF and a dot follows: where the message ends can't be told")
)

// contentReply is the answer when reading the content failed: the client's fault,
// or his connection's.
func contentReply(err error) *smtp.SMTPError {
	var own *smtp.SMTPError // smtp.ErrDataTooLarge: 552 5.3.4; our own ones
	var timeout net.Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, smtp.ErrTooLongLine):
		return errLongLine
	case errors.Is(err, smtp.ErrDataReset):
		return reply(451, 4, 7, 0, "The message was given up")
	case errors.As(err, &timeout) && timeout.Timeout():
		return reply(421, 4, 4, 2, "The message stopped coming") // RFC 5321 §4.5.3.2.5
	}
	return errLost
}
