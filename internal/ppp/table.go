package ppp

// state is a state of RFC 1661 §4.2, numbered as there.
type state uint8

const (
	initial  state = iota // 0: lower layer down, not wanted
	starting              // 1: lower layer down, wanted
	closed                // 2: lower layer up, not wanted
	stopped               // 3: wanted, but the peer ended it
	closing               // 4: Terminate-Request sent, not wanted
	stopping              // 5: Terminate sent, wanted
	reqSent               // 6: Configure-Request sent
	ackRcvd               // 7: and acknowledged by the peer
	ackSent               // 8: and the peer's acknowledged by us
	opened                // 9: both
	states
)

// timed says whether the restart timer may run in a state (RFC 1661 §4.2).
func (s state) timed() bool { return s >= closing && s <= ackSent }

// event is an event of RFC 1661 §4.3.
type event uint8

const (
	evUp           event = iota // the layer below is up
	evDown                      // the layer below is down
	evOpen                      // administrative open
	evClose                     // administrative close
	evTimeout                   // TO+: restart timer, counter above zero
	evGiveUp                    // TO-: restart timer, counter expired
	evGoodRequest               // RCR+: a request we acknowledge
	evBadRequest                // RCR-: a request we Nak or reject
	evAck                       // RCA
	evNak                       // RCN: Nak or Reject
	evTerminate                 // RTR
	evTerminateAck              // RTA
	evUnknown                   // RUC
	evMildReject                // RXJ+: a reject we can live with
	evFatalReject               // RXJ-: one we cannot
	evEcho                      // RXR: echo or discard
	events
)

// action is a set of the actions of RFC 1661 §4.4, which may be done in any
// order. Wherever the RFC lists several, its order is that of these bits.
type action uint16

const (
	tld     action = 1 << iota // this layer down
	tls                        // this layer started
	tlf                        // this layer finished
	irc                        // initialise restart counter
	zrc                        // zero restart counter
	scr                        // send Configure-Request
	sca                        // send Configure-Ack
	scn                        // send Configure-Nak or -Reject
	str                        // send Terminate-Request
	sta                        // send Terminate-Ack
	scj                        // send Code-Reject
	ser                        // send Echo-Reply
	tlu                        // this layer up
	illegal                    // "-" in the table: cannot happen, and is ignored
)

type transition struct {
	do action
	to state
}

// table is RFC 1661 §4.1, whole: a row an event, a column a state. The marks
// there change nothing here: [r] (restart on Open) is not used, [p] (passive)
// is not offered, [x] (crossed connection) only explains.
var table = [events][states]transition{
	evUp: {
		{0, closed}, {irc | scr, reqSent}, {illegal, closed}, {illegal, stopped}, {illegal, closing},
		{illegal, stopping}, {illegal, reqSent}, {illegal, ackRcvd}, {illegal, ackSent}, {illegal, opened},
	},
	evDown: {
		{illegal, initial}, {illegal, starting}, {0, initial}, {tls, starting}, {0, initial},
		{0, starting}, {0, starting}, {0, starting}, {0, starting}, {tld, starting},
	},
	evOpen: {
		{tls, starting}, {0, starting}, {irc | scr, reqSent}, {0, stopped}, {0, stopping},
		{0, stopping}, {0, reqSent}, {0, ackRcvd}, {0, ackSent}, {0, opened},
	},
	evClose: {
		{0, initial}, {tlf, initial}, {0, closed}, {0, closed}, {0, closing},
		{0, closing}, {irc | str, closing}, {irc | str, closing}, {irc | str, closing}, {tld | irc | str, closing},
	},
	evTimeout: {
		{illegal, initial}, {illegal, starting}, {illegal, closed}, {illegal, stopped}, {str, closing},
		{str, stopping}, {scr, reqSent}, {scr, reqSent}, {scr, ackSent}, {illegal, opened},
	},
	evGiveUp: {
		{illegal, initial}, {illegal, starting}, {illegal, closed}, {illegal, stopped}, {tlf, closed},
		{tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {illegal, opened},
	},
	evGoodRequest: {
		{illegal, initial}, {illegal, starting}, {sta, closed}, {irc | scr | sca, ackSent}, {0, closing},
		{0, stopping}, {sca, ackSent}, {sca | tlu, opened}, {sca, ackSent}, {tld | scr | sca, ackSent},
	},
	evBadRequest: {
		{illegal, initial}, {illegal, starting}, {sta, closed}, {irc | scr | scn, reqSent}, {0, closing},
		{0, stopping}, {scn, reqSent}, {scn, ackRcvd}, {scn, reqSent}, {tld | scr | scn, reqSent},
	},
	evAck: {
		{illegal, initial}, {illegal, starting}, {sta, closed}, {sta, stopped}, {0, closing},
		{0, stopping}, {irc, ackRcvd}, {scr, reqSent}, {irc | tlu, opened}, {tld | scr, reqSent},
	},
	evNak: {
		{illegal, initial}, {illegal, starting}, {sta, closed}, {sta, stopped}, {0, closing},
		{0, stopping}, {irc | scr, reqSent}, {scr, reqSent}, {irc | scr, ackSent}, {tld | scr, reqSent},
	},
	evTerminate: {
		{illegal, initial}, {illegal, starting}, {sta, closed}, {sta, stopped}, {sta, closing},
		{sta, stopping}, {sta, reqSent}, {sta, reqSent}, {sta, reqSent}, {tld | zrc | sta, stopping},
	},
	evTerminateAck: {
		{illegal, initial}, {illegal, starting}, {0, closed}, {0, stopped}, {tlf, closed},
		{tlf, stopped}, {0, reqSent}, {0, reqSent}, {0, ackSent}, {tld | scr, reqSent},
	},
	evUnknown: {
		{illegal, initial}, {illegal, starting}, {scj, closed}, {scj, stopped}, {scj, closing},
		{scj, stopping}, {scj, reqSent}, {scj, ackRcvd}, {scj, ackSent}, {scj, opened},
	},
	evMildReject: {
		{illegal, initial}, {illegal, starting}, {0, closed}, {0, stopped}, {0, closing},
		{0, stopping}, {0, reqSent}, {0, reqSent}, {0, ackSent}, {0, opened},
	},
	evFatalReject: {
		{illegal, initial}, {illegal, starting}, {tlf, closed}, {tlf, stopped}, {tlf, closed},
		{tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {tlf, stopped}, {tld | irc | str, stopping},
	},
	evEcho: {
		{illegal, initial}, {illegal, starting}, {0, closed}, {0, stopped}, {0, closing},
		{0, stopping}, {0, reqSent}, {0, ackRcvd}, {0, ackSent}, {ser, opened},
	},
}
