package peers_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"outpost/internal/peers"
	"outpost/internal/ppp"
)

// What both ends agree to, by the word of both.
func TestPPPDAgrees(t *testing.T) {
	t.Parallel()
	guest := peers.StartGuest(t)
	compress := joe()
	compress.Compress = true
	for _, a := range []agreement{
		{
			name: "MS-CHAPv2", options: "require-mschap-v2 auth name isp", cfg: joe(),
			said: []string{`rcvd \[LCP ConfAck[^]]*<auth chap MS-v2>`, `sent \[CHAP Success`},
		},
		{
			name: "headers compressed both ways",
			said: []string{`rcvd \[IPCP ConfAck[^]]*compress VJ 0f 01`, `sent \[IPCP ConfAck[^]]*compress VJ 0f 01`},
			check: func(t *testing.T, c *pppdCall) {
				up, down := c.stack.Traffic()
				s := c.link.Stats()
				if s.OctetsOut > up.IP || s.OctetsIn > down.IP {
					t.Errorf("%d octets up for %d of IP, %d down for %d: were headers compressed?", s.OctetsOut, up.IP, s.OctetsIn, down.IP)
				}
			},
		},
		{
			name: "Deflate", options: "deflate 15", cfg: compress,
			said: []string{`rcvd \[CCP ConfAck[^]]*<deflate 15>`, `sent \[CCP ConfAck[^]]*<deflate 15>`},
			check: func(t *testing.T, c *pppdCall) {
				up, down := c.stack.Traffic() // half of it is text
				s := c.link.Stats()
				if s.OctetsOut > up.IP || s.OctetsIn > down.IP || s.Tossed != 0 {
					t.Errorf("%+v for %d octets of IP up and %d down", s, up.IP, down.IP)
				}
			},
		},
	} {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			a.run(t, guest)
		})
	}
}

// The far end's words to a wrong password reach a person.
func TestPPPDRefusesMSCHAPv2(t *testing.T) {
	t.Parallel()
	far := peers.PPPD(t, peers.PPPDOptions{Options: strings.Fields("require-mschap-v2 auth name isp")})
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	cfg := joe()
	cfg.Password = "wrong"
	l := ppp.New(far, cfg)
	_, err := l.Up(ctx)
	var refused *ppp.Error
	if !errors.As(err, &refused) || refused.Kind != ppp.AuthRefused || !strings.Contains(refused.Peer, "691") || refused.Temporary {
		t.Errorf("%v, want the password refused", err)
	}
}

// A second call asks for what the first was given, and pppd takes it as it comes.
func TestPPPDKnown(t *testing.T) {
	t.Parallel()
	guest := peers.StartGuest(t)
	options := peers.PPPDOptions{Options: strings.Fields("require-pap auth name isp nopcomp")}
	first := callPPPD(t, guest.PPPD(t, options), joe())
	m := first.link.Memory()
	cfg := joe()
	cfg.Memory = &m
	second := callPPPD(t, guest.PPPD(t, options), cfg)
	second.exchange(t, 20_000)
	if !second.link.Memory().NoPFC {
		t.Errorf("%+v: want it remembered that the protocol field isn't compressed", second.link.Memory())
	}
}
