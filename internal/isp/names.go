package isp

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// nameTTL and negativeTTL, in seconds, are what providers often have;
	// a client that remembers addresses between calls lives by them.
	nameTTL     = 300
	negativeTTL = 60
	// maxUDPAnswer is the size we say we take (RFC 6891 §6.2.3); our answers
	// stay below the 512 octets that need no permission.
	maxUDPAnswer = 1232
)

// zone is what the name server knows: the provider's hosts, all at one
// address. It is no resolver; every other name doesn't exist.
type zone struct {
	domain string
	addr   netip.Addr
}

// knows says whether the zone has a name, and whether it is a host's.
func (z zone) knows(name string) (exists, host bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	domain := strings.ToLower(z.domain)
	switch name {
	case "smtp." + domain, "pop." + domain:
		return true, true
	}
	return name == domain, false
}

// answer makes the reply to a query, or nil when it deserves none: because it
// is not even a header, or is itself a reply.
func (z zone) answer(query []byte) []byte {
	var parser dnsmessage.Parser
	h, err := parser.Start(query)
	if err != nil || h.Response {
		return nil
	}
	reply := dnsmessage.Message{Header: dnsmessage.Header{
		ID: h.ID, Response: true, OpCode: h.OpCode,
		RecursionDesired: h.RecursionDesired, RecursionAvailable: true,
	}}
	questions, err := parser.AllQuestions()
	switch {
	case err != nil || len(questions) != 1:
		reply.RCode = dnsmessage.RCodeFormatError
	case h.OpCode != 0:
		reply.RCode = dnsmessage.RCodeNotImplemented
	default:
		reply.Questions = questions
		z.resolve(questions[0], &reply)
		if wantsEDNS(&parser) {
			reply.Additionals = append(reply.Additionals, edns())
		}
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// resolve fills in the answer, or the SOA that says how long there is none
// (RFC 2308 §3).
func (z zone) resolve(q dnsmessage.Question, reply *dnsmessage.Message) {
	if q.Class != dnsmessage.ClassINET {
		reply.RCode = dnsmessage.RCodeRefused
		return
	}
	exists, host := z.knows(q.Name.String())
	if host && (q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeALL) {
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: nameTTL},
			Body:   &dnsmessage.AResource{A: z.addr.As4()},
		}}
		return
	}
	if !exists {
		reply.RCode = dnsmessage.RCodeNameError
	}
	if soa, err := z.soa(); err == nil {
		reply.Authorities = []dnsmessage.Resource{soa}
	}
}

func (z zone) soa() (dnsmessage.Resource, error) {
	apex, err := dnsmessage.NewName(strings.TrimSuffix(z.domain, ".") + ".")
	if err != nil {
		return dnsmessage.Resource{}, err
	}
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: apex, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET, TTL: negativeTTL},
		Body: &dnsmessage.SOAResource{
			NS: apex, MBox: apex, Serial: 1, Refresh: 7200, Retry: 3600, Expire: 1209600, MinTTL: negativeTTL,
		},
	}, nil
}

// wantsEDNS looks for an OPT record; a reply must have one if and only if the
// query had (RFC 6891 §6.1.1).
func wantsEDNS(parser *dnsmessage.Parser) bool {
	if parser.SkipAllAnswers() != nil || parser.SkipAllAuthorities() != nil {
		return false
	}
	for {
		h, err := parser.AdditionalHeader()
		if err != nil {
			return false
		}
		if h.Type == dnsmessage.TypeOPT {
			return true
		}
		if parser.SkipAdditional() != nil {
			return false
		}
	}
}

func edns() dnsmessage.Resource {
	r := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
	// The name of an OPT record is the root; SetEDNS0 fails on nothing else
	// than a bad RCode, which success isn't.
	_ = r.Header.SetEDNS0(maxUDPAnswer, dnsmessage.RCodeSuccess, false)
	return r
}

// serveNames answers datagrams until the socket is closed.
func (p *Provider) serveNames(conn net.PacketConn, z zone) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := p.lookUp(z, buf[:n]); reply != nil {
			// A lost answer is asked for again.
			_, _ = conn.WriteTo(reply, from)
		}
	}
}

// serveNamesTCP answers queries with a length in front (RFC 1035 §4.2.2), and
// closes conn when the client does or NoDNS is set.
func (p *Provider) serveNamesTCP(conn net.Conn, z zone) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := p.lookUp(z, query)
		if reply == nil {
			return
		}
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(reply))) // answers stay below 512 octets
		if _, err := conn.Write(append(framed, reply...)); err != nil {
			return
		}
	}
}

func (p *Provider) lookUp(z zone, query []byte) []byte {
	p.count(func(c *Counters) { c.DNSQueries++ })
	if p.fault().NoDNS {
		return nil
	}
	return z.answer(query)
}
