package link

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// question is what is asked of a name server: the IPv4 addresses of a name. It
// needs no EDNS: an answer with addresses fits 512 octets unless there are
// dozens, and then TCP is asked.
type question struct {
	id   uint16
	name dnsmessage.Name
}

const (
	// maxAliases bounds a chain of CNAMEs: real ones have two or three.
	maxAliases = 8
	// maxAddresses is how many addresses of an answer are of use.
	maxAddresses = 16
	// maxTTL bounds how long a wrong answer can be believed: a day.
	maxTTL = 24 * time.Hour
)

// newQuestion says whether host can be a name at all (RFC 1035 §2.3.4).
func newQuestion(id uint16, host string) (question, error) {
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return question{}, errors.New("not a host name")
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return question{}, errors.New("not a host name")
		}
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return question{}, errors.New("a host name has letters without accents, digits, hyphens and dots (write others in their xn-- form)")
	}
	name, err := dnsmessage.NewName(host + ".")
	return question{id, name}, err
}

func (q question) section() dnsmessage.Question {
	return dnsmessage.Question{Name: q.name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
}

// pack gives the query (RFC 1035 §4.1).
func (q question) pack() ([]byte, error) {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.id, RecursionDesired: true},
		Questions: []dnsmessage.Question{q.section()},
	}
	return m.Pack()
}

// reply is what a name server said to a question.
type reply struct {
	addrs     []netip.Addr
	ttl       time.Duration
	alias     string // where the addresses are to be had, if there are none here
	truncated bool   // ask again over TCP
	unknown   bool   // there is no such name, or no address of it
	failure   string // why the server can't tell, in the standard's words
}

// errNotOurs is a message that doesn't answer the question: of somebody else, a
// late one, a forged one, or rubbish. It is as if it hadn't come.
var errNotOurs = errors.New("link: no answer to this question")

// parse reads a message of a name server.
func (q question) parse(message []byte) (reply, error) {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil || !h.Response || h.ID != q.id || h.OpCode != 0 {
		return reply{}, errNotOurs
	}
	asked, err := p.AllQuestions()
	if err != nil || len(asked) != 1 || !q.same(asked[0]) {
		return reply{}, errNotOurs
	}
	switch {
	case h.Truncated:
		return reply{truncated: true}, nil
	case h.RCode == dnsmessage.RCodeNameError:
		return reply{unknown: true}, nil
	case h.RCode != dnsmessage.RCodeSuccess:
		return reply{failure: rcodeWords(h.RCode)}, nil
	}
	records, err := p.AllAnswers()
	if err != nil {
		return reply{}, errNotOurs
	}
	return follow(q.name.String(), records), nil
}

// same compares without regard to case (RFC 4343 §3).
func (q question) same(o dnsmessage.Question) bool {
	return o.Type == dnsmessage.TypeA && o.Class == dnsmessage.ClassINET && strings.EqualFold(o.Name.String(), q.name.String())
}

// follow goes from a name over its aliases to its addresses, in whatever order
// the records stand (RFC 1034 §3.6.2).
func follow(name string, records []dnsmessage.Resource) reply {
	r := reply{ttl: maxTTL}
	for range maxAliases {
		next := ""
		for _, record := range records {
			if record.Header.Class != dnsmessage.ClassINET || !strings.EqualFold(record.Header.Name.String(), name) {
				continue
			}
			switch body := record.Body.(type) {
			case *dnsmessage.AResource:
				if len(r.addrs) < maxAddresses {
					r.addrs = append(r.addrs, netip.AddrFrom4(body.A))
				}
			case *dnsmessage.CNAMEResource:
				next = body.CNAME.String()
			default:
				continue
			}
			r.ttl = min(r.ttl, time.Duration(record.Header.TTL)*time.Second)
		}
		switch {
		case len(r.addrs) > 0:
			return r
		case next == "" && r.alias == "":
			return reply{unknown: true} // the name is there, an address isn't
		case next == "":
			return r
		}
		name, r.alias = next, next
	}
	return reply{failure: "the name's aliases go round in circles"}
}

// rcodeWords is an RCODE for a person (RFC 1035 §4.1.1).
func rcodeWords(code dnsmessage.RCode) string {
	switch code {
	case dnsmessage.RCodeServerFailure:
		return "server failure"
	case dnsmessage.RCodeRefused:
		return "refused"
	case dnsmessage.RCodeFormatError:
		return "format error"
	case dnsmessage.RCodeNotImplemented:
		return "not implemented"
	default:
		return fmt.Sprintf("code %d", code)
	}
}
