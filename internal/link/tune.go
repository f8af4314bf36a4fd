package link

import "time"

// tuning is what TCP needs to know about a line to resend nothing that wasn't
// lost. Octets are of TCP payload unless said otherwise.
type tuning struct {
	// bounded says that windows, segments and timers below hold. False on a
	// line of unknown or high rate, where TCP's own defaults are right.
	bounded bool
	// mss is the largest segment either end sends.
	mss int
	// down is what the far end may have in flight, all connections together, duplex
	// the same while we are sending too, and up what we may.
	down, duplex, up int
	// least is what the far end may have in flight on a connection, however many
	// there are.
	least int
	// bulkFor is how long after a large segment a connection counts as one that
	// the far end is sending on.
	bulkFor time.Duration
	// slow is how many seconds of ours are one of TCP's.
	slow int
	// minRTO is the least retransmission time-out, in our seconds.
	minRTO time.Duration
	// grace is how long behind the line's own answer an acknowledgement may come
	// that was on its way.
	grace time.Duration
	// greet is how long our side of a handshake is kept back where there are other
	// connections.
	greet time.Duration
	// connectWait bounds one attempt to connect to one address.
	connectWait time.Duration
	// askWait is how long an answer of a name server may take.
	askWait time.Duration
}

const (
	tcpHeader    = 40 // octets of IPv4 and TCP headers without options
	frameOctets  = 8  // PPP around a packet: flag, address, control, protocol, FCS
	synPacket    = 48 // a SYN with the options we leave on it
	bitsPerOctet = 10 // asynchronous: start, eight bits, stop

	// synPatience is when a server sends its SYN again, and won't measure it.
	synPatience = time.Second
	// maxGreet bounds what a connection may cost at its beginning.
	maxGreet = 1500 * time.Millisecond
	// farMargin is the least that servers' TCP adds to a measured round trip (Linux).
	farMargin = 200 * time.Millisecond
	// longSegmentRate is where segments longer than 536 octets take less than
	// farMargin to send. Below, a window of one of them must not exceed 536: Linux
	// halves its segments if it has ever seen a larger one.
	longSegmentRate = 64_000

	// largestMSS fits Ethernet on the way behind the provider (RFC 6691 §2).
	largestMSS = 1460
	// smallestMSS: below it frames and headers take more than a thirtieth of the line,
	// or a sixth where they aren't compressed.
	smallestMSS = 256
	// defaultMSS is what TCP uses when nothing is said (RFC 9293 §3.7.1).
	defaultMSS = 536

	// tunedConnections is how many connections a session runs at once on a slow
	// line; with more, the timers adapt from what is measured.
	tunedConnections = 3
)

// tune gives the settings for a line. rate is in bit/s, ten to an octet, 0 if
// unknown; rtt is the round trip of a small packet on the idle line, 0 if
// unknown.
//
//	line                 mss  down duplex    up slow minRTO
//	2400 bit/s 1.8 s     336  1344   2016  3360   12   36 s  satellite
//	9600 bit/s 600 ms    432  1728   2592  4320    4   12 s  GSM data
//	33600 bit/s 150 ms   536  1608   2680  4288    2    4 s  landline
//	128 kbit/s 300 ms   1456  7280  10192 17472    2    4 s  packet radio
func tune(rate int, rtt time.Duration) tuning {
	if rate <= 0 {
		return untuned(rtt)
	}
	if rtt <= 0 {
		rtt = usualRTT(rate)
	}
	l := lane{rate}
	inFlight := l.octets(rtt) // what the line itself holds: rate times round trip
	t := tuning{bounded: true}

	// The far end sets its time-out by the round trips of small packets, and a
	// segment's is longer by the time that it takes to send. Servers give it 0.2 s
	// of margin at least (RFC 6298 §2.4 asks for 1 s), and more where the first
	// samples were few: two thirds of a round trip is what they bear. It also
	// bounds how long anything urgent waits behind a segment. Below some 300
	// octets, what is saved in repetitions goes into headers.
	handshake := rtt + 2*l.airtime(synPacket)
	margin := max(handshake*2/3, farMargin)
	t.mss = min(max(l.octets(margin)-frameOctets, smallestMSS), largestMSS) &^ 7
	if rate < longSegmentRate {
		t.mss = min(t.mss, defaultMSS)
	}

	// What is in flight beyond what the line holds is queue: at the far end it
	// adds to every round trip and gains nothing. One segment is being sent, and one
	// is for servers whose segments aren't whole. While we send too, an
	// acknowledgement waits for a segment of ours to end, and rides on the next.
	t.down = whole(inFlight+2*t.mss, t.mss)
	t.duplex = t.down + 2*t.mss
	// The far end's patience begins anew with each acknowledgement. Where a segment
	// takes longer to send than its margin, one alone is taken for lost as soon as
	// there is one more in the queue than before; of two, the first is acknowledged
	// in time.
	t.least = t.mss
	if l.airtime(t.mss) > farMargin {
		t.least = 2 * t.mss
	}
	// Ours waits here, not in the network, where what is urgent passes it. It
	// must outlast acknowledgements that wait at the far end behind all of that.
	t.up = t.duplex + t.down
	if t.up > maxWindow {
		return untuned(rtt) // window scaling is worth more than bounds
	}
	t.bulkFor = rtt + l.airtime(t.duplex) + time.Second

	// TCP's time-out before anything was measured is fixed at 1 s (RFC 6298
	// §2.1), ours at the time a SYN's answer takes behind a full window.
	t.slow = int((rtt + l.airtime(t.duplex+t.mss) + time.Second - 1) / time.Second)
	// Once it was measured, a segment's round trip still jumps from the idle
	// line's to that behind every connection's segments, with an acknowledgement
	// behind all of the far end's, and some. If it jumps higher, the outbox asks before
	// anything is sent twice, but TCP begins anew with one segment.
	t.minRTO = (rtt + l.airtime(max(t.up, tunedConnections*t.down)+t.duplex+t.mss)) * 5 / 4
	t.minRTO = (t.minRTO + time.Second - 1).Truncate(time.Second)

	// The far end's TCP may keep an acknowledgement for 0.2 s (RFC 9293 §3.8.6.3 has
	// 0.5 s at most), its network takes its time, and a segment may be in front.
	t.grace = 500*time.Millisecond + l.airtime(t.mss)

	// The far end's time-out comes from the round trips it has measured, and after a
	// dialogue that is the idle line's and little more (see mss). Several
	// connections that begin to send together have all their segments in one queue;
	// what it takes for lost it sends again, and then measures nothing, for it can't
	// tell which was acknowledged. So the first that it measures, our answer to its
	// SYN, comes late enough for what will be: five exchanges later half of that is
	// left in its average and two thirds in its variance, which counts four times.
	// Where that is later than a second, it sends its SYN once more, some 50 octets,
	// and bears 3 s (RFC 6298 §5.7), which is long enough as well.
	if longest := rtt + l.airtime(max(t.duplex, tunedConnections*t.least)+2*t.mss); handshake < synPatience {
		t.greet = min(max(longest-handshake*23/10, 0)*10/18, maxGreet)
	}

	// Three SYNs have been sent by then (after 1, 2 and 4 s of TCP's), and the
	// last had its full time. 20 s at least: servers that look up who connects
	// are slow too.
	t.connectWait = max(20*time.Second, 7*time.Duration(t.slow)*time.Second)
	// An answer may wait behind a full window as well, and the server has
	// to ask others.
	t.askWait = rtt + l.airtime(t.duplex) + 2*time.Second
	return t
}

// untuned leaves TCP as it is, but for the time-out before anything was
// measured. The waits are those of an ordinary network: RFC 1035 §4.2.1 asks
// resolvers for 2 to 5 s.
func untuned(rtt time.Duration) tuning {
	return tuning{
		mss: largestMSS, slow: 1 + int(rtt/time.Second),
		connectWait: 20*time.Second + 7*rtt, askWait: 4*time.Second + rtt,
	}
}

// maxWindow is the largest window without scaling (RFC 9293 §3.1).
const maxWindow = 65535

// usualRTT is the round trip of lines of a rate, where nobody said.
func usualRTT(rate int) time.Duration {
	switch {
	case rate <= 4800:
		return 1800 * time.Millisecond // satellite circuit
	case rate <= 14400:
		return 600 * time.Millisecond // GSM data call
	case rate <= 64000:
		return 150 * time.Millisecond // landline, ISDN
	}
	return 300 * time.Millisecond // packet radio
}

// fit adapts the tuning to the longest packet that the far end takes.
func (t tuning) fit(mtu int) tuning {
	mss := min(t.mss, mtu-tcpHeader)
	if t.bounded && mss < t.mss {
		t.down, t.duplex, t.up = whole(t.down, mss), whole(t.duplex, mss), whole(t.up, mss)
		t.least = whole(t.least, mss)
	}
	t.mss = mss
	return t
}

// share is a connection's part of what n connections may have in flight up; less
// than the far end may, and it could not keep the line busy alone.
func (t tuning) share(n int) int {
	if n > 1 {
		return max(t.up/n/t.mss*t.mss, t.down)
	}
	return t.up
}

// offer is what the far end may send on a connection before it hears from us: its
// part among those that it is sending on, itself included. One that it isn't
// sending on yet has its part of all: it may begin when the others do. Duplex says
// that we are sending, too.
func (t tuning) offer(bulk bool, sending, all int, duplex bool) int {
	n := sending
	if !bulk {
		n = max(sending+1, all)
	}
	n = max(n, 1)
	if duplex {
		return max(whole(t.duplex/n, t.mss), t.least)
	}
	return max(t.down/n/t.mss*t.mss, t.least)
}

// whole rounds up to whole segments: a rest would be sent as a small segment
// with a full header (RFC 9293 §3.8.6.2.1).
func whole(n, mss int) int { return (n + mss - 1) / mss * mss }

// lane is one direction of the line.
type lane struct{ rate int } // bit/s

func (l lane) airtime(octets int) time.Duration {
	return time.Duration(octets) * bitsPerOctet * time.Second / time.Duration(l.rate)
}

func (l lane) octets(d time.Duration) int {
	return int(d.Seconds() * float64(l.rate) / bitsPerOctet)
}
