package ppp

import "sync/atomic"

// Stats counts what a link has seen since New. Octets are those of the stream,
// framing and escapes included: what the line is busy with.
type Stats struct {
	OctetsIn, OctetsOut   int64
	FramesIn, FramesOut   int64 // good frames of any protocol
	PacketsIn, PacketsOut int64 // IPv4 packets among them
	FCSErrors             int64 // frames with a wrong check sequence
	Aborted               int64 // frames the peer cut short on purpose
	Oversized             int64 // frames longer than we ever offered to take
	Junk                  int64 // octets before the first flag
	Dropped               int64 // packets and replies given up because a queue was full
	Tossed                int64 // TCP segments whose compressed headers could not be restored
}

// counters is the live form of Stats; any goroutine may add.
type counters struct {
	octetsIn, octetsOut   atomic.Int64
	framesIn, framesOut   atomic.Int64
	packetsIn, packetsOut atomic.Int64
	fcsErrors, aborted    atomic.Int64
	oversized, junk       atomic.Int64
	dropped, tossed       atomic.Int64
}

func (c *counters) snapshot() Stats {
	return Stats{
		OctetsIn: c.octetsIn.Load(), OctetsOut: c.octetsOut.Load(),
		FramesIn: c.framesIn.Load(), FramesOut: c.framesOut.Load(),
		PacketsIn: c.packetsIn.Load(), PacketsOut: c.packetsOut.Load(),
		FCSErrors: c.fcsErrors.Load(), Aborted: c.aborted.Load(),
		Oversized: c.oversized.Load(), Junk: c.junk.Load(),
		Dropped: c.dropped.Load(), Tossed: c.tossed.Load(),
	}
}
