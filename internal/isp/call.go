package isp

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"outpost/internal/link"
	"outpost/internal/ppp"
)

// goodbye bounds the PPP termination when the provider ends a call: three
// round trips of the slowest satellite line. After that it just hangs up.
const goodbye = 15 * time.Second

// Answerer waits for calls; a modemtest.Modem is one.
type Answerer interface {
	// Accept returns the next call: the stream that comes out of the
	// provider's modem. Closing it hangs up.
	Accept(ctx context.Context) (io.ReadWriteCloser, error)
}

// ServerAddr is the address of the provider's one host on every call: access
// server, name server, smarthost and POP3 server. It is the same each time,
// as clients that remember addresses between calls expect. (RFC 5737's
// documentation networks can't be anyone's office network.)
func ServerAddr() netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, 1}) }

// customerAddr is what a caller gets.
func customerAddr() netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, 2}) }

// Answer answers calls until ctx ends, which also ends the call that is up,
// or until the modem accepts no more; only that is an error. Calls are
// answered one after the other, as on one line: what a call started is gone,
// boxes unlocked and connections closed, before the next one is picked up.
// Several modems may be answered at once, each by its own Answer.
func (p *Provider) Answer(ctx context.Context, m Answerer) error {
	for {
		stream, err := m.Accept(ctx)
		if ctx.Err() != nil {
			if err == nil {
				_ = stream.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("isp: waiting for a call: %w", err)
		}
		p.call(ctx, stream)
	}
}

// call serves one call from pick-up to hang-up. What goes wrong in it is the
// caller's trouble and is logged.
func (p *Provider) call(ctx context.Context, stream io.ReadWriteCloser) {
	p.count(func(c *Counters) { c.Calls++ })
	l := ppp.New(stream, p.pppConfig())
	defer p.hangUp(ctx, l)
	addrs, err := l.Up(ctx)
	if err != nil {
		p.log.Info("no PPP", "error", err)
		return
	}
	p.count(func(c *Counters) { c.Links++ })
	gate := &gated{Link: l, open: make(chan struct{})}
	stack, err := link.NewStack(gate, ServerAddr(), link.StackOptions{MTU: addrs.MTU, Rate: p.opt.Rate, RTT: p.opt.RTT})
	if err != nil {
		p.log.Error("no TCP/IP", "error", err)
		return
	}
	defer stack.Close()
	h, err := p.open(stack, ServerAddr())
	if err != nil {
		p.log.Error("no services", "error", err)
		return
	}
	// The stack goes first: it fails every connection at once, where closing
	// one by one could wait for data that a dead line can't carry.
	defer func() {
		_ = stack.Close()
		h.close()
	}()
	close(gate.open)
	select {
	case <-l.Done():
	case <-ctx.Done():
	}
}

// gated keeps the caller's packets back until the services are open. Callers
// begin as soon as PPP is up, and a stack that nobody listens on yet would
// refuse their connections and lose their questions.
type gated struct {
	*ppp.Link
	open chan struct{}
}

func (g *gated) ReadPacket(b []byte) (int, error) {
	select {
	case <-g.open:
	case <-g.Done():
	}
	return g.Link.ReadPacket(b)
}

// hangUp says goodbye, if there is still someone to hear it, and closes the
// stream.
func (p *Provider) hangUp(ctx context.Context, l *ppp.Link) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	why := l.Err() // before Close, which is a reason too
	_ = l.Close(ctx)
	s := l.Stats()
	p.log.Info("call ended", "why", why, "in", s.OctetsIn, "out", s.OctetsOut)
}

func (p *Provider) pppConfig() ppp.Config {
	cfg := ppp.Config{
		Server:    true,
		Auth:      []ppp.AuthProtocol{ppp.CHAPMD5, ppp.PAP},
		LocalAddr: ServerAddr(),
		PeerAddr:  customerAddr(),
		DNS:       [2]netip.Addr{ServerAddr()},
		Rate:      p.opt.Rate,
		RTT:       p.opt.RTT,
		Log:       p.log,
	}
	if p.opt.User != "" || p.fault().RefuseAuth {
		cfg.Authenticate = func(user string) (string, bool) {
			return p.opt.Password, user == p.opt.User && !p.fault().RefuseAuth
		}
	}
	return cfg
}
