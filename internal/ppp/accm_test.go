package ppp

import (
	"bytes"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// On a line with XON/XOFF neither end's data may hold these characters, also where
// the far end has asked for nothing: our own modem would take them.
func TestNothingForFlowControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var octets, raw atomic.Int64
		w := wire{alter: func(_, _ int, b []byte) []byte {
			octets.Add(int64(len(b)))
			raw.Add(int64(bytes.Count(b, []byte{0x11}) + bytes.Count(b, []byte{0x13})))
			return b
		}}
		client := clientConfig()
		client.ACCM = 0x000A0000
		p := bringUp(t, w, client, serverConfig(PAP))
		p.mustBeUp(t)
		p.exchange(t) // its packets are full of 0x11
		p.end(t)
		if octets.Load() < 800 || raw.Load() > 0 {
			t.Errorf("%d raw characters of flow control in %d octets", raw.Load(), octets.Load())
		}
	})
}
