package ppp

import "encoding/binary"

// vjReceiver restores what the peer compressed. The zero value isn't usable; see
// newVJReceiver. It belongs to the engine.
type vjReceiver struct {
	slots []vjSlot
	last  int  // the slot of the last segment; -1: none yet
	toss  bool // a frame was lost: what doesn't name its slot may mean another
}

func newVJReceiver(slots int) *vjReceiver {
	return &vjReceiver{slots: make([]vjSlot, slots), last: -1}
}

// lost is told that a frame was damaged: it may have named another slot
// (RFC 1144 §4.1).
func (v *vjReceiver) lost() { v.toss = true }

// full takes a segment that came whole and begins, or renews, a slot. It changes
// and returns p; false: it is damaged.
func (v *vjReceiver) full(p []byte) ([]byte, bool) {
	if len(p) < 40 || int(p[9]) >= len(v.slots) {
		v.toss = true
		return nil, false
	}
	number := int(p[9])
	p[9] = protTCP
	h, ok := parseHeaders(p)
	if !ok || h.length() > len(p) {
		v.toss = true
		return nil, false
	}
	v.slots[number].keep(h)
	v.last, v.toss = number, false
	return p[:h.length()], true
}

// compressed restores a segment; false: it can't be, and TCP will send it again.
func (v *vjReceiver) compressed(p []byte) ([]byte, bool) {
	d := decoder{rest: p}
	mask := d.octet()
	if mask&vjNewC != 0 {
		n := int(d.octet())
		if d.short || n >= len(v.slots) {
			v.toss = true
			return nil, false
		}
		v.last, v.toss = n, false
	}
	if v.toss || v.last < 0 || !v.slots[v.last].used {
		v.toss = true
		return nil, false
	}
	slot := &v.slots[v.last]
	next := slot.buf // on trial: a damaged frame must change nothing
	h := headers{next[:], slot.h.ip, slot.h.end}
	h.apply(mask, &d)
	if d.short || h.end+len(d.rest) > maxMRU {
		v.toss = true
		return nil, false
	}
	binary.BigEndian.PutUint16(h.p[2:], uint16(h.end+len(d.rest))) //nolint:gosec // bounded above
	h.p[10], h.p[11] = 0, 0
	binary.BigEndian.PutUint16(h.p[10:], ^onesSum(h.p[:h.ip]))
	slot.buf = next
	return append(append(make([]byte, 0, h.end+len(d.rest)), next[:h.end]...), d.rest...), true
}

// apply brings the last segment's headers up to the next one's (RFC 1144 §3.2.4).
func (h headers) apply(mask byte, d *decoder) {
	last := h.dataLen()
	copy(h.checksum(), []byte{d.octet(), d.octet()})
	h.setFlag(tcpPSH, mask&vjPush != 0)
	switch mask & vjMask {
	case vjBoth:
		h.setSeq(h.seq() + last)
		h.setAck(h.ack() + last)
	case vjData:
		h.setSeq(h.seq() + last)
	default:
		h.setFlag(tcpURG, mask&vjNewU != 0)
		if mask&vjNewU != 0 {
			h.setUrgent(d.value())
		}
		if mask&vjNewW != 0 {
			h.setWindow(h.window() + d.value())
		}
		if mask&vjNewA != 0 {
			h.setAck(h.ack() + uint32(d.value()))
		}
		if mask&vjNewS != 0 {
			h.setSeq(h.seq() + uint32(d.value()))
		}
	}
	if mask&vjNewI != 0 {
		h.setID(h.id() + d.value())
	} else {
		h.setID(h.id() + 1)
	}
}

// decoder reads a compressed header.
type decoder struct {
	rest  []byte
	short bool // it ended too soon
}

func (d *decoder) octet() byte {
	if len(d.rest) == 0 {
		d.short = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) value() uint16 {
	if b := d.octet(); b != 0 {
		return uint16(b)
	}
	return uint16(d.octet())<<8 | uint16(d.octet())
}

// onesSum is the sum that IP's checksum is the complement of (RFC 791 §3.1). b has
// an even number of octets.
func onesSum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum) //nolint:gosec // folded above
}
