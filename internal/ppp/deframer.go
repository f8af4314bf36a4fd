package ppp

// minFrame is the shortest frame that is looked at, its FCS included; shorter
// ones are fill between flags and no error (RFC 1662 §4.3).
const minFrame = 4

// frameOverhead is what comes on top of the MRU: address, control, two octets
// of protocol and the FCS.
const frameOverhead = 4 + fcsLen

// deframer finds frames in a stream of octets. It holds at most one frame of
// limit octets. The zero value is not usable; see newDeframer.
type deframer struct {
	accm    uint32 // control characters the peer escapes: raw ones are noise
	limit   int
	buf     []byte
	fcs     uint16
	synced  bool // a flag was seen; all before it is junk
	escaped bool // the last octet was the escape
	tooLong bool // this frame has outgrown limit and is being skipped
	count   *counters
	// damaged is told of each frame that was lost here; nil: nobody needs to know.
	damaged func()
}

func newDeframer(mru int, count *counters) *deframer {
	return &deframer{
		accm: plainFraming().accm, fcs: fcsInit, count: count,
		// RFC 1661 §6.1: 1500 octets must always be taken, whatever was offered.
		limit: max(mru, defaultMRU) + frameOverhead,
	}
}

// feed hands every good frame in p to deliver, without its FCS. The slice is
// valid only during the call.
func (d *deframer) feed(p []byte, deliver func(frame []byte)) {
	for _, b := range p {
		switch {
		case b == flag:
			d.end(deliver)
		case !d.synced:
			d.count.junk.Add(1)
		case b < 0x20 && d.accm>>b&1 == 1:
			// Not the peer's: it escapes these. Some device on the way put it in,
			// or flow control did (RFC 1662 §4.2).
		case b == escape:
			d.escaped = true
		default:
			if d.escaped {
				b ^= escapeBit
				d.escaped = false
			}
			d.add(b)
		}
	}
}

func (d *deframer) add(b byte) {
	if len(d.buf) == d.limit {
		d.tooLong = true
		return
	}
	d.buf = append(d.buf, b)
	d.fcs = fcs16(d.fcs, b)
}

// end acts on a flag: the frame before it is whole, broken or nothing.
func (d *deframer) end(deliver func([]byte)) {
	switch {
	case d.escaped: // escape and flag: the sender takes the frame back (RFC 1662 §4.3)
		d.count.aborted.Add(1)
	case d.tooLong:
		d.count.oversized.Add(1)
		d.spoiled()
	case len(d.buf) < minFrame:
	case d.fcs != fcsGood:
		d.count.fcsErrors.Add(1)
		d.spoiled()
	default:
		d.count.framesIn.Add(1)
		deliver(d.buf[:len(d.buf)-fcsLen])
	}
	d.buf, d.fcs = d.buf[:0], fcsInit
	d.synced, d.escaped, d.tooLong = true, false, false
}

func (d *deframer) spoiled() {
	if d.damaged != nil {
		d.damaged()
	}
}
