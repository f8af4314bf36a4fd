// Package link is a line's way up: it makes of a modem on a serial port a line
// that connections can be dialled through, and proves that it came down again.
//
// It owns these:
//
//	Stack      a TCP/IP host inside this process (gVisor's netstack) on one
//	           link that carries IPv4 packets. Client or server alike
//	ModemLine  package modem dials, internal/ppp negotiates, a Stack goes on
//	           top; Down takes all of it away and hangs up
//	PPPDLine   the same, but the system's pppd negotiates and the kernel's
//	           TCP/IP goes on top. The port stays ours
//	NetLine    a network that the computer has, with the user's commands to
//	           bring it up and take it down
//
// The flow of a call:
//
//	Up           open the port, initialise, dial     phase "dialling"
//	             PPP, then the Stack                 phase "linking"
//	DialContext  names are asked of the line's own name servers, over the line
//	Down         connections end, PPP says goodbye, the modem hangs up; nil
//	             only when the modem was seen on-hook
//
// The invariant: nothing but what was dialled through the Stack uses the paid
// line, and nothing that was is answered by the host. The host has no route to
// the line and no address on it; the host's resolver, its hosts file and its
// search domains are never asked; a connection that the far end tries to open
// is dropped unanswered unless a listener was opened here.
//
// That is a ModemLine's. The other two are the system's, and there the invariant
// is smaller: what is dialled through them is kept on their interface by the
// kernel, and a guard, if it is asked for, keeps everybody else off it.
//
// On a slow line, most of what TCP does by default is wrong: its timers expire
// while its own segments still wait for the line, and what is sent again is
// paid for again. Everything that is done about it comes from one pure function
// of the line's rate and round trip, [tune], and acts around gVisor's TCP, not
// in it: a slowed clock, bounds for segments and timers, a rewriting of windows and
// of SYN options as packets pass (rewrite.go), and an order for what waits for the
// line (outbox.go).
//
// Not here: which line, when and how long (session and schedule), TLS and mail
// (relay, pop3), what it costs (tariff).
package link
