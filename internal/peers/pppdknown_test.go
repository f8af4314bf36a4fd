package peers_test

import (
	"strings"
	"testing"

	"outpost/internal/peers"
)

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
