package pop3

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
)

const (
	// maxHeader is how far a Fingerprint looks for the end of a header, in octets.
	maxHeader = 1 << 20
	// maxPrinted is what it takes of a field; what differs behind that only, doesn't differ.
	maxPrinted = 4 << 10
	// printOctets are enough of the hash for nobody to meet two messages with the same.
	printOctets = 16
)

// printed are the fields of a Fingerprint. Servers add fields and change others on the way to us, but not these.
var printed = [...]string{"message-id", "date", "from", "subject"}

// Fingerprint identifies a message by its header as far as no server changes it: by its Message-ID, Date, From and Subject, the first of each,
// unfolded (RFC 5322 §2.2.3) and trimmed. Two messages with the same have all of these in common, or lack the same. It is "" if there is no
// Message-ID, as nothing else is a message's own, and if r fails before the header has ended; else 32 characters. The header ends with an empty
// line, or where r does; lines end in LF or CRLF. No more of r is read than that and a few kB.
func Fingerprint(r io.Reader) string {
	var values [len(printed)]string
	var there [len(printed)]bool
	lines := bufio.NewReader(io.LimitReader(r, maxHeader))
	at := -1 // the field that goes on
	for {
		line, err := headerLine(lines)
		if err != nil && err != io.EOF {
			return ""
		}
		if len(line) == 0 {
			break
		}
		if line[0] != ' ' && line[0] != '\t' {
			at = field(line)
			if at >= 0 && there[at] {
				at = -1
			}
			if at >= 0 {
				there[at] = true
				line = line[len(printed[at]):]
			}
		}
		if at >= 0 {
			values[at] += string(line[:min(len(line), maxPrinted-len(values[at]))])
		}
	}
	hash := sha256.New()
	for i, value := range values {
		_, value, _ := strings.Cut(value, ":") // behind the name blanks may stand (RFC 5322 §4.5)
		value = strings.Trim(value, " \t")
		if i == 0 && value == "" {
			return ""
		}
		hash.Write([]byte(value + "\n"))
	}
	return hex.EncodeToString(hash.Sum(nil)[:printOctets])
}

// headerLine gives the next line without its end, or as much of a long one as the buffer has; none behind the last.
func headerLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line = bytes.Clone(line)
		for err == bufio.ErrBufferFull {
			_, err = r.ReadSlice('\n')
		}
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// field says which one of those printed a line begins; -1 if none.
func field(line []byte) int {
	name, _, _ := bytes.Cut(line, []byte(":"))
	for i, want := range printed {
		if len(line) > len(name) && strings.EqualFold(strings.TrimRight(string(name), " \t"), want) {
			return i
		}
	}
	return -1
}
