package maildir

import (
	"bufio"
	"bytes"
)

// unixLines writes a message as Dovecot does by default (mail_save_crlf=no), LF for
// CRLF: half the programs that read Maildirs (mutt, notmuch, grep, Python) take CR
// for part of the line, and nothing is lost, as IMAP sends CRLF whatever is in the
// file. Any other CR stays. So does the whole of a CR CR LF: less its last CR it would
// read as CRLF, and an octet of the message were gone.
type unixLines struct {
	w             *bufio.Writer
	size, virtual int64 // octets written; the same if each bare LF were CRLF
	cr            bool  // a CR is held back
	last          byte  // the last octet written
}

func (u *unixLines) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i++ {
		if n := plain(p[i:]); n > 0 && !u.cr {
			if _, err := u.w.Write(p[i : i+n]); err != nil {
				return i, err
			}
			u.size += int64(n)
			u.virtual += int64(n)
			u.last = p[i+n-1]
			if i += n; i == len(p) {
				break
			}
		}
		c := p[i]
		if u.cr && (c != '\n' || u.last == '\r') {
			if err := u.octet('\r'); err != nil {
				return i, err
			}
		}
		if u.cr = c == '\r'; u.cr {
			continue
		}
		if err := u.octet(c); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// plain is how many octets come before the next CR or LF.
func plain(p []byte) int {
	if n := bytes.IndexAny(p, "\r\n"); n >= 0 {
		return n
	}
	return len(p)
}

// octet writes one octet and counts.
func (u *unixLines) octet(c byte) error {
	if c == '\n' && u.last != '\r' {
		u.virtual++
	}
	u.last = c
	u.size++
	u.virtual++
	return u.w.WriteByte(c)
}

// end writes a CR that no LF followed.
func (u *unixLines) end() error {
	if !u.cr {
		return nil
	}
	u.cr = false
	return u.octet('\r')
}
