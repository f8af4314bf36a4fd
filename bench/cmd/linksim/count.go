//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sort"
	"time"
)

// span is a time in which a transmitter was at work.
type span struct{ from, to time.Time }

// tally is what is counted of one direction.
type tally struct {
	busy     []span // in order; what touches is one
	packets  int
	ipBytes  int
	wire     int
	dropped  int // the buffer was full
	lost     int // by --loss
	maxQueue time.Duration
	late     time.Duration // by how much deliveries came late, in all: a check of the machine
	maxLate  time.Duration
}

// sent counts a packet that was taken.
func (t *tally) sent(ipBytes, wire int, s span) {
	t.packets++
	t.ipBytes += ipBytes
	t.wire += wire
	if n := len(t.busy); n > 0 && !s.from.After(t.busy[n-1].to) {
		t.busy[n-1].to = s.to
		return
	}
	t.busy = append(t.busy, s)
}

// flow is one conversation, by what crossed the line of it.
type flow struct {
	Proto     string  `json:"proto"` // tcp, udp
	Field     string  `json:"field"` // address:port
	ISP       string  `json:"isp"`
	First     float64 `json:"first_s"` // seconds into the report: offered
	Last      float64 `json:"last_s"`  // delivered
	UpPkts    int     `json:"up_packets"`
	UpBytes   int     `json:"up_ip_bytes"`
	DownPkts  int     `json:"down_packets"`
	DownBytes int     `json:"down_ip_bytes"`
	UpData    int     `json:"up_tcp_payload"`
	DownData  int     `json:"down_tcp_payload"`
}

// counters are what is counted of the line as a whole.
type counters struct {
	first time.Time // first packet offered; zero: none yet
	flows map[string]*flow
}

func newCounters() counters { return counters{flows: make(map[string]*flow)} }

// begin starts the report's clock with its first packet.
func (c *counters) begin(now time.Time) {
	if c.first.IsZero() {
		c.first = now
	}
}

// flow counts a packet to its conversation.
func (c *counters) flow(up bool, p []byte, now, due time.Time) {
	proto, src, dst, data, ok := transport(p)
	if !ok {
		return
	}
	field, isp := src, dst
	if !up {
		field, isp = dst, src
	}
	key := proto + " " + field + " " + isp
	f := c.flows[key]
	if f == nil {
		f = &flow{Proto: proto, Field: field, ISP: isp, First: now.Sub(c.first).Seconds()}
		c.flows[key] = f
	}
	f.Last = max(f.Last, due.Sub(c.first).Seconds())
	if up {
		f.UpPkts++
		f.UpBytes += len(p)
		f.UpData += data
	} else {
		f.DownPkts++
		f.DownBytes += len(p)
		f.DownData += data
	}
}

// sorted lists the conversations in the order in which they began.
func (c *counters) sorted() []*flow {
	list := make([]*flow, 0, len(c.flows))
	for _, f := range c.flows {
		list = append(list, f)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].First < list[j].First })
	return list
}

// transport reads an IPv4 packet of TCP or UDP: its ends, as address:port, and
// the octets of payload of TCP (RFC 791 §3.1, RFC 9293 §3.1).
func transport(p []byte) (proto, src, dst string, data int, ok bool) {
	const tcp, udp = 6, 17
	if len(p) < 20 || p[0]>>4 != 4 {
		return "", "", "", 0, false
	}
	header := int(p[0]&15) * 4
	if len(p) < header+8 || p[9] != tcp && p[9] != udp {
		return "", "", "", 0, false
	}
	end := func(address []byte, at int) string {
		a, _ := netip.AddrFromSlice(address)
		return fmt.Sprintf("%s:%d", a, binary.BigEndian.Uint16(p[header+at:]))
	}
	proto = "udp"
	if p[9] == tcp {
		proto = "tcp"
		if len(p) >= header+20 {
			data = len(p) - header - int(p[header+12]>>4)*4
		}
	}
	return proto, end(p[12:16], 0), end(p[16:20], 2), data, true
}
