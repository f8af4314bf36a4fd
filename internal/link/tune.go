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
	// window is what all connections together may have in flight each way;
	// least is what one connection may have in any case.
	window, least int
	// slow is how many seconds of ours are one of TCP's.
	slow int
	// minRTO is the least retransmission time-out, in our seconds.
	minRTO time.Duration
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

	// largestMSS fits Ethernet on the way behind the provider (RFC 6691 §2).
	largestMSS = 1460
	// smallestMSS: below it headers take more than a seventh of the line.
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
//	line                 mss window least slow minRTO
//	2400 bit/s 1.8 s     480   1920   960   10   21 s  satellite
//	9600 bit/s 600 ms    624   2496  1248    4    7 s  GSM data
//	33600 bit/s 150 ms   544   2176  1088    1    2 s  landline
//	128 kbit/s 300 ms   1456   8736  5824    1    2 s  packet radio
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

	// The far end starts its timer from the handshake: the first sample sets
	// its time-out to three times that (RFC 6298 §2.2). A segment that takes no
	// longer than the handshake to send, and then a round trip to be
	// acknowledged, leaves a third of it as margin. It also bounds how long
	// anything urgent waits behind a segment.
	handshake := rtt + 2*l.airtime(synPacket)
	t.mss = l.octets(handshake) - tcpHeader - frameOctets
	t.mss = min(max(t.mss, smallestMSS), largestMSS) &^ 7

	// What is in flight beyond what the line holds is queue: it adds to the
	// round trip and gains nothing. Three segments keep the line busy while a
	// receiver delays its acknowledgement for a second one (RFC 9293 §3.8.6.3).
	t.window = whole(inFlight+3*t.mss, t.mss)
	// Among idle connections, an active one must still fill the line; with less
	// than two segments it would wait for delayed acknowledgements.
	t.least = max(2*t.mss, whole(inFlight+t.mss, t.mss))
	if t.window > maxWindow {
		return untuned(rtt) // window scaling is worth more than bounds
	}

	// TCP's time-out before anything was measured is fixed at 1 s (RFC 6298
	// §2.1), ours at the time a SYN takes behind a full send window.
	t.slow = int((rtt + l.airtime(t.window) + time.Second - 1) / time.Second)
	// Once it was measured, a segment's round trip still jumps from the idle
	// line's to that behind every connection's segments. Half as much again for
	// their headers and for acknowledgements that wait in the other direction.
	t.minRTO = (rtt + l.airtime(tunedConnections*t.least)) * 3 / 2
	t.minRTO = max(t.minRTO.Round(time.Second), time.Second)

	// Three SYNs have been sent by then (after 1, 2 and 4 s of TCP's), and the
	// last had its full time. 20 s at least: servers that look up who connects
	// are slow too.
	t.connectWait = max(20*time.Second, 7*time.Duration(t.slow)*time.Second)
	// A question may wait behind a full send window as well, and the server has
	// to ask others.
	t.askWait = rtt + l.airtime(t.window) + 2*time.Second
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
		t.window = whole(t.window, mss)
		t.least = whole(t.least, mss)
	}
	t.mss = mss
	return t
}

// share is a connection's part of the window that n connections have together.
func (t tuning) share(n int) int {
	window := t.window
	if n > 1 {
		window = max(window/n/t.mss*t.mss, t.least)
	}
	return min(window, maxWindow)
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
