package ppp

import "bytes"

// CCP's option for Deflate and its own codes (RFC 1979 §2.1, RFC 1962 §3).
const (
	ccpDeflate = 26

	codeResetRequest = 14
	codeResetAck     = 15
)

// deflateOption asks for a window of 32 KiB, method 8, checked by sequence numbers.
var deflateOption = option{ccpDeflate, []byte{(deflateWindow-8)<<4 | 8, 0}} //nolint:gochecknoglobals // a constant

// ccp is the compression control protocol: RFC 1962's layer on the automaton. A client
// begins it only when the peer does: most have none, and asking costs octets.
type ccp struct {
	*automaton
	ask26   bool // whether we ask for Deflate
	offered bool // the peer's request judged last has it
	out     *deflater
	in      *inflater
	resets  byte // identifier of our last Reset-Request
}

func newCCP(e *engine) *ccp {
	c := &ccp{ask26: true}
	c.automaton = newAutomaton(e, c, protoCCP, "CCP")
	return c
}

// ccpFrame takes a packet of CCP, if compression is wanted at all.
func (e *engine) ccpFrame(info []byte) {
	p, ok := parsePacket(info)
	if !ok {
		return
	}
	e.offerCompression()
	e.ccp.input(p)
}

// offerCompression begins CCP, unless it has begun.
func (e *engine) offerCompression() {
	e.ccp.deliver(evOpen)
	if e.ccp.state == starting {
		e.ccp.deliver(evUp)
	}
}

func (c *ccp) ask() []option {
	if !c.ask26 {
		return nil
	}
	return []option{deflateOption}
}

// judge takes Deflate with any window: what we send needs 32 KiB at most, so only
// that will do. All else is rejected.
func (c *ccp) judge(opts []option) (naks, rejects []option) {
	c.offered = false
	for _, o := range opts {
		switch {
		case o.kind != ccpDeflate:
			rejects = append(rejects, o)
		case !bytes.Equal(o.data, deflateOption.data):
			naks = append(naks, deflateOption)
		default:
			c.offered = true
		}
	}
	return naks, rejects
}

func (c *ccp) agreed() {}

func (c *ccp) naked([]option) { c.ask26 = false } // another window: we have none

func (c *ccp) rejected([]option) { c.ask26 = false }

func (c *ccp) up() {
	if c.ask26 {
		c.in = newInflater(c.engine.cfg.MRU)
	}
	if c.offered {
		c.out = newDeflater()
		c.engine.out.compress(c.out)
	}
}

func (c *ccp) down() {
	c.in, c.out = nil, nil
	c.engine.out.compress(nil)
}

func (c *ccp) finished() {}

// extra handles the resets: the end that can't go on asks, the other begins anew.
func (c *ccp) extra(p packet) bool {
	switch p.code {
	case codeResetRequest:
		if c.out != nil {
			c.out.reset()
		}
		c.send(packet{codeResetAck, p.id, nil})
	case codeResetAck:
		if c.in != nil && c.in.broken {
			c.in.reset()
		}
	default:
		return false
	}
	return true
}

// inflate takes a compressed packet to its protocol.
func (e *engine) inflate(info []byte) {
	if e.ccp.in == nil {
		return // late, from before the peer heard that compression is off
	}
	b, ok := e.ccp.in.inflate(info)
	if !ok {
		e.count.tossed.Add(1)
		e.headersLost()
		// Sent for each packet until it is answered: either may get lost.
		e.ccp.resets++
		e.ccp.send(packet{codeResetRequest, e.ccp.resets, nil})
		return
	}
	if protocol, rest, ok := parseFrame(b); ok && protocol != protoDeflate {
		e.dataFrame(protocol, rest)
	}
}
