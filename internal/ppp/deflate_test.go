package ppp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// letters are packets as mail in the clear makes them, and some that can't shrink.
func letters(n int) (packets [][]byte) {
	rng := rand.New(rand.NewPCG(3, uint64(n)))
	for i := range n {
		p := fmt.Appendf([]byte{0x45}, "Received: from mail.example.org by mx.example.net with ESMTP id %d\r\nSubject: report %d\r\n", i, rng.IntN(9))
		if i%7 == 3 {
			p = make([]byte, 200+rng.IntN(900))
			for j := range p {
				p[j] = byte(rng.Uint32())
			}
			p[0] = 0x45
		}
		packets = append(packets, p)
	}
	return packets
}

// compressing are both ends with Deflate.
func compressing() (client, server Config) {
	client, server = clientConfig(), serverConfig()
	client.Compress, server.Compress = true, true
	return client, server
}

func TestDeflate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := compressing()
		p := bringUp(t, wire{}, client, server)
		p.mustBeUp(t)
		time.Sleep(time.Second) // CCP comes after IPCP
		for _, way := range [][2]*Link{{p.client, p.server}, {p.server, p.client}} {
			before, octets := way[0].Stats().OctetsOut, 0
			for i, sent := range letters(60) {
				if err := way[0].WritePacket(sent); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, 1500)
				n, err := way[1].ReadPacket(got)
				if err != nil || !bytes.Equal(got[:n], sent) {
					t.Fatalf("packet %d of %d octets: %d came, %v", i, len(sent), n, err)
				}
				if i%7 != 3 {
					octets += len(sent)
				} else {
					before += int64(len(sent))
				}
			}
			if took := way[0].Stats().OctetsOut - before; took > int64(octets)/2 {
				t.Errorf("%d octets of text took %d on the line", octets, took)
			}
		}
	})
}

// A frame is damaged: what follows is lost until the far end has begun anew, and
// never wrong.
func TestDeflateBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var spoil atomic.Bool
		w := wire{alter: func(end, _ int, b []byte) []byte {
			if end == 1 && spoil.Swap(false) {
				b[len(b)/2] ^= 0x10
			}
			return b
		}}
		client, server := compressing()
		p := bringUp(t, w, client, server)
		p.mustBeUp(t)
		time.Sleep(time.Second)
		all := letters(90)
		came := make(chan []byte, len(all))
		go func() {
			defer close(came)
			for {
				got := make([]byte, 1500)
				n, err := p.client.ReadPacket(got)
				if err != nil {
					return
				}
				came <- got[:n]
			}
		}()
		for i, sent := range all {
			spoil.Store(i == 30)
			if err := p.server.WritePacket(sent); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		p.end(t)
		next, lost := 0, 0
		for got := range came {
			for !bytes.Equal(got, all[next]) {
				lost++
				if next++; next == len(all) {
					t.Fatalf("a packet that was never sent: %.60q", got)
				}
			}
			next++
		}
		if lost == 0 || lost > 3 {
			t.Errorf("%d packets lost for one damaged frame", lost)
		}
		if p.client.Stats().Tossed == 0 {
			t.Error("nothing was tossed: was anything compressed?")
		}
	})
}

// Only who wants compression gets it, and a peer that offers something else is told.
func TestCompressionRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := clientConfig()
		cfg.Compress = true
		s, l, result := play(t, cfg)
		s.openLCP()
		s.openIPCP()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		s.put(protoCCP, packet{codeRequest, 1, unhex(t, "1506"+"00000000"+"1a047800")}) // BSD compress and Deflate
		ours := s.next(protoCCP, codeRequest)
		if p := s.next(protoCCP, codeReject); !bytes.Equal(p.data, unhex(t, "150600000000")) {
			t.Errorf("rejected %x", p.data)
		}
		s.put(protoCCP, packet{codeReject, ours.id, ours.data})
		s.put(protoCCP, packet{codeRequest, 2, unhex(t, "1a047000")}) // a window of 256 octets
		if p := s.next(protoCCP, codeRequest); len(p.data) != 0 {
			t.Errorf("asks again for %x", p.data)
		}
		if p := s.next(protoCCP, codeNak); !bytes.Equal(p.data, unhex(t, "1a047800")) {
			t.Errorf("wants %x", p.data)
		}
		_ = l
	})
}

func FuzzInflate(f *testing.F) {
	d := newDeflater()
	for _, p := range letters(4) {
		_, content := d.compress(protoIP, p)
		f.Add(bytes.Clone(content))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		in := newInflater(defaultMRU)
		for range 3 {
			if got, ok := in.inflate(p); ok && len(got) > defaultMRU+2 {
				t.Fatalf("%d octets", len(got))
			}
			in.plain(protoIP, p)
			if len(in.window) > 1<<deflateWindow {
				t.Fatalf("a window of %d octets", len(in.window))
			}
		}
	})
}
