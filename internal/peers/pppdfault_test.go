package peers_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"outpost/internal/peers"
	"outpost/internal/ppp"
)

// refused wants Up to fail, in one way and with the far end's words.
func refused(t *testing.T, far *peers.PPPDServer, cfg ppp.Config, want ppp.Error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	_, err := ppp.New(far, cfg).Up(ctx)
	var e *ppp.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v, want %v", err, want.Kind)
	}
	if e.Kind != want.Kind || e.Phase != want.Phase || e.Temporary || !strings.Contains(e.Peer, want.Peer) {
		t.Errorf("%#v, want %v in phase %s with the words %q", e, want.Kind, want.Phase, want.Peer)
	}
	if !strings.Contains(e.Advice(), want.Hint) {
		t.Errorf("advice %q doesn't have %q", e.Advice(), want.Hint)
	}
}

func testWrongPassword(require string) func(*testing.T, *peers.Guest) {
	words := map[string]string{"require-pap": "Login incorrect", "require-chap": "Access denied", "require-mschap-v2": "Access denied"}
	return func(t *testing.T, guest *peers.Guest) {
		refused(t, guest.PPPD(t, peers.PPPDOptions{Options: []string{require}}),
			ppp.Config{User: peers.PPPDUser, Password: "not " + peers.PPPDPassword},
			ppp.Error{Kind: ppp.AuthRefused, Phase: ppp.PhaseAuthenticate, Peer: words[require], Hint: "Check user and password"})
	}
}

func testOnlyPAP(t *testing.T, guest *peers.Guest) {
	cfg := joe()
	cfg.Auth = []ppp.AuthProtocol{ppp.PAP}
	refused(t, guest.PPPD(t, peers.PPPDOptions{Options: []string{"require-chap"}}), cfg,
		ppp.Error{Kind: ppp.NoCommonAuth, Phase: ppp.PhaseAuthenticate, Peer: "peer refused to authenticate", Hint: "The far end wants CHAP-MD5."})
}

func testOnlyEAP(t *testing.T, guest *peers.Guest) {
	refused(t, guest.PPPD(t, peers.PPPDOptions{Options: []string{"require-eap"}}), joe(),
		ppp.Error{Kind: ppp.NoCommonAuth, Phase: ppp.PhaseAuthenticate, Peer: "peer refused to authenticate", Hint: "The far end wants EAP."})
}

// A pppd that doubts its caller again and again (RFC 1994 §2) is answered while data
// flows.
func testChallengedAgain(t *testing.T, guest *peers.Guest) {
	far := guest.PPPD(t, peers.PPPDOptions{Options: []string{"require-chap", "chap-interval", "2"}})
	c := callPPPD(t, far, joe())
	for n := range 3 {
		far.AwaitLog(t, strings.Repeat(`(?s:sent \[CHAP Success.*)`, n+1))
		c.exchange(t, 10_000)
	}
	c.goodbye(t)
}

// The end that a provider makes is told as such, in its words, to whoever uses the link.
func testMaxConnect(t *testing.T, guest *peers.Guest) {
	far := guest.PPPD(t, peers.PPPDOptions{Options: []string{"maxconnect", "3"}})
	c := callPPPD(t, far, ppp.Config{})
	c.exchange(t, 2_000)
	select {
	case <-c.link.Done():
	case <-time.After(upTimeout):
		t.Fatal("the link goes on")
	}
	var e *ppp.Error
	if err := c.link.Err(); !errors.As(err, &e) || e.Kind != ppp.PeerTerminated || e.Phase != ppp.PhaseOpen || e.Peer != "Connect time expired" {
		t.Errorf("%v", err)
	}
	<-c.stack.Done()
	if err := c.stack.Err(); !errors.Is(err, e) {
		t.Errorf("the stack ended with %v", err)
	}
}

// The line is gone: what uses it knows at once, and so does pppd.
func testHungUp(t *testing.T, guest *peers.Guest) {
	far := guest.PPPD(t, peers.PPPDOptions{})
	c := callPPPD(t, far, ppp.Config{})
	broken := make(chan error, 1)
	go func() { broken <- c.download(t.Context(), 100<<20, 1) }()
	for c.link.Stats().OctetsIn < 100_000 {
		time.Sleep(time.Millisecond) // there is no event for it
	}
	if err := far.Close(); err != nil {
		t.Error(err)
	}
	var e *ppp.Error
	if err := <-broken; !errors.As(err, &e) || e.Kind != ppp.CarrierLost {
		t.Errorf("%v, want the carrier lost", err)
	}
	far.AwaitLog(t, "Modem hangup")
}

// A passive pppd gives up asking, and waits for a caller who is late.
func testPassive(t *testing.T, guest *peers.Guest) {
	far := guest.PPPD(t, peers.PPPDOptions{Options: []string{"passive", "lcp-restart", "1", "lcp-max-configure", "1"}})
	far.AwaitLog(t, "timeout sending Config-Requests")
	c := callPPPD(t, far, ppp.Config{})
	c.exchange(t, 10_000)
	c.goodbye(t)
}

// An access server that was restarted negotiates anew, in the middle of everything. The
// link comes up again by itself, and the connections go on (RFC 1661 §3.4).
func testRestarted(t *testing.T, guest *peers.Guest) {
	cfg := joe()
	cfg.Rate, cfg.RTT = 230_400, 50*time.Millisecond
	far := guest.PPPD(t, peers.PPPDOptions{Options: []string{"require-chap"}, Rate: cfg.Rate, Delay: cfg.RTT / 2})
	c := callPPPD(t, far, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 4*upTimeout) // time-outs were doubled meanwhile
	defer cancel()
	done := make(chan error, 2)
	go func() { done <- c.download(ctx, 60_000, 1) }()
	go func() { done <- c.upload(ctx, 60_000, 2) }()
	for c.link.Stats().OctetsIn < 20_000 {
		time.Sleep(time.Millisecond) // there is no event for it
	}
	far.Restart(t)
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	far.AwaitLog(t, `(?s)(remote IP address.*){2}`)
	c.goodbye(t)
}

// pppd hangs up a line on which two of its echoes a second apart stay unanswered.
// Answers have to pass by the data that fills the line.
func testEchoes(t *testing.T, guest *peers.Guest) {
	const rate = 9600
	far := guest.PPPD(t, peers.PPPDOptions{
		Options: []string{"lcp-echo-interval", "1", "lcp-echo-failure", "2"}, Rate: rate, Delay: 100 * time.Millisecond,
	})
	var asked atomic.Int64
	c := callPPPD(t, far, ppp.Config{Rate: rate, RTT: 200 * time.Millisecond, Trace: func(way ppp.Direction, frame []byte) {
		if way == ppp.Received && bytes.HasPrefix(frame, []byte{0xc0, 0x21, 9}) { // LCP, Echo-Request (RFC 1661 §5.8)
			asked.Add(1)
		}
	}})
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	begun := time.Now()
	if err := c.upload(ctx, 5_000, 1); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < 5_000*10*time.Second/rate {
		t.Errorf("the line wasn't full: %v", took)
	}
	if n := asked.Load(); n < 4 {
		t.Errorf("only %d echoes were asked for", n)
	}
	c.goodbye(t)
}

// A line that changes three octets in ten thousand, either way, changes nothing in what
// arrives. Short packets, so that most of them come through.
func testErrors(t *testing.T, guest *peers.Guest) {
	far := guest.PPPD(t, peers.PPPDOptions{
		Options: []string{"require-chap", "mru", "296", "lcp-restart", "1", "ipcp-restart", "1", "chap-restart", "1"}, Errors: 3e-4, Seed: 1,
	})
	cfg := joe()
	cfg.MRU, cfg.RestartTimer = 296, time.Second
	c := callPPPD(t, far, cfg)
	c.exchange(t, 50_000)
	if s := c.link.Stats(); s.FCSErrors < 10 {
		t.Errorf("only %d damaged frames came", s.FCSErrors)
	}
}
