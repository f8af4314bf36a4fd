// Package ppp speaks the Point-to-Point Protocol over any byte stream: a
// modem's data phase, a pty, or a pipe. It turns the stream into a Link that
// carries IPv4 packets, in either role: the client that dials a provider, and
// the server that answers (the pretend provider of the demo and the tests).
//
// The flow of a call:
//
//	New      nothing is sent yet
//	Up       LCP Configure-Request goes out at once; then authentication, if
//	         the far end or we ask for it; then IPCP. Returns the addresses
//	Read-    IPv4 packets, both ways, until the link ends
//	WritePacket
//	Close    Terminate-Request, a bounded wait, then the stream is closed
//
// Inside, three goroutines share the work and nothing else:
//
//	reader ──octets──▶ engine ──control frames──▶ writer ──octets──▶ stream
//	                     │  ▲                        ▲
//	          ReadPacket ◀  └ timers, Close          └ WriteNext, WritePacket
//
// The engine owns every piece of protocol state: the deframer, the automata of
// LCP, IPCP and CCP (one table, RFC 1661 §4.1), authentication, echo and all
// deadlines. The writer owns the pace and holds no packet: what goes next is chosen
// when the line is free, a control frame before any. A peer that watches the line
// with echoes therefore stays satisfied on a saturated line.
//
// The invariant: packets flow only while LCP and IPCP are both open and
// authentication is done; when LCP falls, everything above falls with it and
// comes up again by itself (RFC 1661 §3.4). Memory is bounded whatever a peer
// sends. Every goroutine ends when the stream's Close ends its Read and Write.
//
// Every octet is paid for, and every round trip. TCP's headers are compressed
// (vj.go), packets too where the peer offers it and it is of use (ccp.go,
// deflate.go), what can go early does (early.go), and what a provider agreed to is
// asked for the next time (memory.go).
//
// Not here: dialling and hanging up (package modem), TCP/IP (internal/link),
// encryption, IPv6.
//
// # Restart timers
//
// A Configure-Request that is sent again is harmless while we have not yet
// acknowledged the peer's request: the line keeps the order, so the copy
// arrives before the Configure-Ack that could open the peer. It is harmful
// after that, because a request that reaches an Opened peer takes the link down
// and starts it all over (RFC 1661 §4.1, RCR in Opened). So the first retry,
// before anything was heard, comes soon, for the far end may still be starting
// and have missed the first request; all later ones wait for clearly longer
// than a round trip, which is measured on the way. What is queued in front of a
// request on a slow line is added to its timer, so a slow line isn't flooded.
package ppp
