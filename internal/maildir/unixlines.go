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
	done := 0
	for done < len(p) {
		// What has no line end in it goes as it is.
		if n := plain(p[done:]); n > 0 && !u.cr {
			if _, err := u.w.Write(p[done : done+n]); err != nil {
				return done, err
			}
			done += n
			u.size, u.virtual, u.last = u.size+int64(n), u.virtual+int64(n), p[done-1]
			continue
		}
		c := p[done]
		if u.cr && (c != '\n' || u.last == '\r') {
			if err := u.octet('\r'); err != nil {
				return done, err
			}
		}
		if u.cr = c == '\r'; !u.cr {
			if err := u.octet(c); err != nil {
				return done, err
			}
		}
		done++
	}
	return len(p), nil
}

// plain is how much comes before the first CR or LF.
func plain(p []byte) int {
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		p = p[:i]
	}
	if i := bytes.IndexByte(p, '\r'); i >= 0 {
		return i
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
