package ppp

import (
	"log/slog"
	"net/netip"
	"time"
)

// AuthProtocol is a way for one end to prove who it is.
type AuthProtocol string

// The authentication protocols this package speaks. The zero value means none.
const (
	PAP      AuthProtocol = "PAP"       // RFC 1334: the password in clear
	CHAPMD5  AuthProtocol = "CHAP-MD5"  // RFC 1994: a challenge, answered with a digest
	MSCHAPv2 AuthProtocol = "MS-CHAPv2" // RFC 2759: the same both ways, with Microsoft's digest
)

// Direction says which way a traced frame went.
type Direction string

// The directions of Config.Trace.
const (
	Sent     Direction = "sent"
	Received Direction = "received"
)

// Echo settings for lines that can fall silent. Satellite links are silent for
// up to 70 s in a hand-over and live on. An echo sent after such a gap must
// still be answered in time, whenever the one before it went out: 20 s and 5
// unanswered echoes give a peer up after 120 s, and never before 100 s of gap.
const (
	DefaultEchoInterval = 20 * time.Second
	DefaultEchoFailures = 5
)

// Config is all a Link needs to know. The zero value is a client without a
// user that takes whatever address it is given.
type Config struct {
	// Server selects the role in IPCP: a client asks for its address and for
	// name servers, a server gives them out.
	Server bool

	// User and Password answer a peer that asks who we are. They are never
	// logged and never in an error or a trace. Both may be empty: some
	// providers ask and take any answer.
	User, Password string

	// Authenticate gives the secret of a peer's user. If it is set, the peer
	// must authenticate itself before anything else happens; nil asks for
	// nothing. It is called on the link's goroutine and must not block.
	Authenticate func(user string) (password string, ok bool)

	// Auth lists what to ask of the peer (with Authenticate) and what to accept
	// when it asks us, most wanted first. Nil: CHAPMD5, MSCHAPv2, then PAP.
	Auth []AuthProtocol

	// Rechallenge is how often an open link's peer is challenged again by a
	// server that uses CHAP (RFC 1994 §2). 0: only once.
	Rechallenge time.Duration

	// LocalAddr is our address: required of a server, a wish of a client (zero:
	// whatever the server gives). PeerAddr is what a server gives its client.
	LocalAddr, PeerAddr netip.Addr

	// DNS are the name servers that a server gives out; zero entries: none.
	DNS [2]netip.Addr

	// MRU is the longest packet in octets that we offer to take. 0: 1500,
	// which is RFC 1661's default and costs no option. 128 to 16384.
	MRU int

	// NoVJ sends TCP's headers whole, and wants them so (RFC 1144). It costs some 37
	// octets a segment.
	NoVJ bool

	// Compress takes Deflate (RFC 1979) if the peer offers it. It is of use for
	// traffic that isn't encrypted.
	Compress bool

	// ACCM has a bit for each control character that the peer must escape
	// towards us, bit 0 for NUL (RFC 1662 §7.1), and that we escape whatever the
	// peer asks for. 0: none, for a line clean in 8 bits. A line with XON/XOFF
	// flow control needs 0x000A0000.
	ACCM uint32

	// Memory is what the provider agreed to the last time, from Link.Memory. Nil:
	// this is the first contact. A server has no use for it.
	Memory *Memory

	// EchoInterval is the silence after which the peer is asked for a sign of
	// life; any good frame is one. 0: never. EchoFailures is how many echoes in
	// a row may stay unanswered. 0: DefaultEchoFailures.
	EchoInterval time.Duration
	EchoFailures int

	// Rate is the line's rate in bit/s, ten to an octet, at which the writer
	// paces itself, slower where the line takes less. 0: not paced.
	Rate int

	// RTT is the round trip expected of the line, if known: it sets the restart
	// timers until the true one is measured. 0: unknown.
	RTT time.Duration

	// RestartTimer fixes all restart timers (RFC 1661 §4.6). 0: from RTT and
	// what is measured, 2 s to 12 s, with a short first retry.
	RestartTimer time.Duration

	// MaxConfigure, MaxTerminate and MaxFailure are RFC 1661's counters (§4.6):
	// requests without an answer, and Naks before they turn into Rejects.
	// 0: 10, 2 and 5, as there.
	MaxConfigure, MaxTerminate, MaxFailure int

	// UpTimeout bounds the whole of Up. 0: 60 s, enough for two lost frames and
	// five round trips of a satellite's worst 5.4 s.
	UpTimeout time.Duration

	// Log gets the packets of the negotiation at debug level. Nil: discarded.
	Log *slog.Logger

	// Trace is given every control frame, the two octets of its protocol first,
	// PAP passwords masked. It is called on the link's goroutine, must not
	// block, and must not keep the slice. Nil: none.
	Trace func(dir Direction, frame []byte)
}

const (
	defaultMRU = 1500
	minMRU     = 128   // below it, IP's own headers eat the line; pppd's bound too
	maxMRU     = 16384 // bounds the deframer's buffer
)

func (c Config) withDefaults() Config {
	if len(c.Auth) == 0 {
		c.Auth = []AuthProtocol{CHAPMD5, MSCHAPv2, PAP}
	}
	if c.MRU == 0 {
		c.MRU = defaultMRU
	}
	c.MRU = min(max(c.MRU, minMRU), maxMRU)
	c.EchoFailures = orDefault(c.EchoFailures, DefaultEchoFailures)
	c.MaxConfigure = orDefault(c.MaxConfigure, 10)
	c.MaxTerminate = orDefault(c.MaxTerminate, 2)
	c.MaxFailure = orDefault(c.MaxFailure, 5)
	c.UpTimeout = orDefault(c.UpTimeout, 60*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}
