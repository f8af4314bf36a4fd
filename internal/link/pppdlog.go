package link

import (
	"net/netip"
	"strconv"
	"strings"
)

// pppdLog is what pppd has said so far of how the call is getting on, in the words
// of its log of version 2.4 and 2.5.
type pppdLog struct {
	iface         string // that the kernel made for it
	local, remote netip.Addr
	dns           []netip.Addr
	refused       bool   // the far end didn't take user and password
	peer          string // the far end's own words, when it refused us
	why           string // the line that says what went wrong: the first, others follow from it
	up            bool   // packets flow
}

// maxNameServers is how many pppd can ask for (RFC 1877 §1).
const maxNameServers = 2

// note reads one line.
func (l *pppdLog) note(line string) {
	switch {
	case strings.HasPrefix(line, "Using interface "):
		l.iface = lastWord(line)
	case strings.HasPrefix(line, "local  IP address "):
		// The address is on the interface, and the routes are set, before this.
		l.local, l.up, l.why = addressIn(line), true, ""
	case strings.HasPrefix(line, "remote IP address "):
		l.remote = addressIn(line)
	case strings.HasPrefix(line, "primary   DNS address "), strings.HasPrefix(line, "secondary DNS address "):
		a := addressIn(line)
		if a.IsValid() && !a.IsUnspecified() && len(l.dns) < maxNameServers {
			l.dns = append(l.dns, a)
		}
	case strings.HasPrefix(line, "rcvd "):
		if strings.HasPrefix(line, "rcvd [PAP AuthNak ") || strings.HasPrefix(line, "rcvd [CHAP Failure ") {
			l.refused, l.peer = true, quoted(line)
		}
	case isTrouble(line):
		l.refused = l.refused || strings.HasPrefix(line, "PAP authentication failed") || strings.HasPrefix(line, "CHAP authentication failed")
		if l.why == "" || strings.HasSuffix(l.why, "angup") { // which follows everything
			l.why = strings.TrimPrefix(line, "pppd: ")
		}
	}
}

// isTrouble tells what went wrong from the chatter of debug.
func isTrouble(line string) bool {
	if strings.HasPrefix(line, "sent ") || strings.HasPrefix(line, "Script ") {
		return false
	}
	for _, word := range []string{
		"fail", "refused", "timeout", "terminated by peer", "looped back", "not responding", "not authorized", "unrecognized option",
		"Couldn't", "Can't", "Cannot", "must be", "hangup", "kernel", "o network protocols", "Could not",
	} {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

func lastWord(line string) string {
	words := strings.Fields(line)
	return words[len(words)-1]
}

// addressIn gives the address at a line's end; invalid when there is none.
func addressIn(line string) netip.Addr {
	a, err := netip.ParseAddr(lastWord(line))
	if err != nil {
		return netip.Addr{}
	}
	return a
}

// quoted gives what stands in quotes in a line, "" when nothing does.
func quoted(line string) string {
	i, j := strings.IndexByte(line, '"'), strings.LastIndexByte(line, '"')
	if i < 0 || j <= i {
		return ""
	}
	if s, err := strconv.Unquote(line[i : j+1]); err == nil {
		return s
	}
	return line[i+1 : j]
}
