package link

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// queued is an outbox with nobody behind it.
func queued() *outbox {
	return newOutbox(newFlows(200), func(*flow) int { return 4000 })
}

// made is a segment as our TCP makes it.
func made(port uint16, seq, ack uint32, flags header.TCPFlags, payload string) []byte {
	p := build(flags, 9000, nil, []byte(payload))
	t := p[20:]
	binary.BigEndian.PutUint16(t, port)
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], ack)
	s, _ := parseSegment(p)
	s.remake()
	return p
}

const ackFlag = header.TCPFlagAck

// taken is what leaves an outbox, in order.
func taken(t *testing.T, o *outbox) (out []segment) {
	t.Helper()
	for o.waits() {
		p := o.next()
		s, ok := parseSegment(p)
		if !ok || !sound(p) {
			t.Fatalf("not a sound segment: % x", p)
		}
		out = append(out, s)
	}
	return out
}

func wantSegments(t *testing.T, got []segment, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d segments, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if string(got[i].payload()) != want[i] {
			t.Errorf("segment %d carries %q, want %q", i, got[i].payload(), want[i])
		}
	}
}

// Acknowledgements go first, one for all that a connection has said meanwhile, and
// ride on the connection's own payload where there is some.
func TestOutboxAcknowledges(t *testing.T) {
	o := queued()
	o.put(made(1, 100, 5, ackFlag, "payload"))
	o.put(made(2, 100, 10, ackFlag, ""))
	o.put(made(2, 100, 20, ackFlag, ""))
	got := taken(t, o)
	wantSegments(t, got, "", "payload")
	if got[0].ack() != 20 {
		t.Errorf("acknowledges %d, want the newest", got[0].ack())
	}
	o.put(made(1, 107, 5, ackFlag, "more"))
	o.put(made(1, 111, 50, ackFlag, "")) // what came meanwhile
	got = taken(t, o)
	wantSegments(t, got, "more")
	if got[0].ack() != 50 || got[0].window() != 4000 {
		t.Errorf("acknowledges %d, offers %d", got[0].ack(), got[0].window())
	}
	for range 3 { // asks for what is missing: each counts (RFC 5681 §3.2)
		o.put(made(1, 111, 50, ackFlag, ""))
	}
	if got = taken(t, o); len(got) != 3 {
		t.Errorf("%d duplicate acknowledgements, want 3", len(got))
	}
}

// A connection whose acknowledgements ride doesn't keep the others back.
func TestOutboxTakesTurns(t *testing.T) {
	o := queued()
	for i := range uint32(3) {
		o.put(made(1, 100+i*5, 0, ackFlag|header.TCPFlagPsh, "first"))
	}
	for i := range uint32(3) {
		o.put(made(2, 100+i*6, 0, ackFlag, "second"))
	}
	var order []string
	for i := uint32(0); o.waits(); i++ {
		o.put(made(2, 118, 10+i, ackFlag, ""))
		s, _ := parseSegment(o.next())
		order = append(order, string(s.payload()[:min(5, len(s.payload()))]))
		if i > 20 {
			break
		}
	}
	if want := []string{"secon", "", "first"}; len(order) < 6 || !slices.Equal(order[:3], want) || order[5] != "first" {
		t.Errorf("order %q", order)
	}
}

// What was written in pieces leaves in whole segments, flags of the last piece and all.
func TestOutboxFillsSegments(t *testing.T) {
	o := queued()
	o.flows.made(mustSegment(t, made(1, 0, 0, ackFlag, "0123456789"))) // the longest it has made
	o.put(made(1, 100, 7, ackFlag, "abc"))
	o.put(made(2, 500, 7, ackFlag, "other"))
	o.put(made(1, 103, 7, ackFlag, "defg"))
	o.put(made(1, 107, 7, ackFlag|header.TCPFlagPsh, "hijklm"))
	o.put(made(1, 113, 7, ackFlag|header.TCPFlagFin, ""))
	got := taken(t, o)
	wantSegments(t, got, "abcdefghij", "other", "klm")
	if last := got[len(got)-1]; last.flags()&flagFIN == 0 || last.seq() != 110 {
		t.Errorf("the end: flags %x, sequence %d", last.flags(), last.seq())
	}
}

func mustSegment(t *testing.T, p []byte) segment {
	t.Helper()
	s, ok := parseSegment(p)
	if !ok {
		t.Fatal("no segment")
	}
	return s
}

// What TCP sends again waits until the line has shown that it lives, and isn't sent
// if the acknowledgement came with that.
func TestOutboxHoldsBack(t *testing.T) {
	o := queued()
	asked := make(chan func(), 4)
	o.probe = func(answered func()) { asked <- answered }
	o.put(made(1, 100, 7, ackFlag, "once"))
	o.put(made(1, 104, 7, ackFlag, "lost"))
	wantSegments(t, taken(t, o), "once", "lost")
	o.put(made(1, 100, 7, ackFlag, "once"))
	o.put(made(1, 104, 7, ackFlag, "lost"))
	if got := taken(t, o); len(got) != 0 {
		t.Errorf("%d segments sent again on a silent line", len(got))
	}
	came := made(25, 0, 104, ackFlag, "") // acknowledges the first
	binary.BigEndian.PutUint16(came[22:], 1)
	copy(came[12:], append(bytes.Clone(came[16:20]), came[12:16]...))
	// The connection's far end is where our segments go.
	ours := mustSegment(t, made(1, 0, 0, ackFlag, ""))
	binary.BigEndian.PutUint16(came[20:], binary.BigEndian.Uint16(ours.tcp()[2:]))
	o.flows.came(came, 4000)
	<-o.ready // for what was put
	(<-asked)()
	<-o.ready // for what was released
	wantSegments(t, taken(t, o), "lost")
}

// TestFreeze: the line is silent for 70 s in the middle of a transfer, as satellite
// lines are, and loses nothing. It goes on, and nothing of ours is sent twice.
func TestFreeze(t *testing.T) {
	const speed = 25
	line := &serialLine{rate: 9600, delay: 300 * time.Millisecond, speed: speed}
	d := line.dial(t, 600*time.Millisecond, StackOptions{}, nil)
	p := connected(t, d.near, listenTCP(t, d.far, 25))
	data := make([]byte, 20_000)
	rand.NewChaCha8([32]byte{2}).Read(data)
	var work sync.WaitGroup
	work.Go(func() { pour(t, p[0], data) })
	work.Go(func() { drink(t, p[1], data, nil) })
	time.AfterFunc(line.real(6*time.Second), func() { line.freeze(70 * time.Second) })
	work.Wait()
	if up, _ := d.near.Traffic(); up.Resent != 0 {
		t.Errorf("%d octets sent again", up.Resent)
	}
}

// Beside other connections, our answer to a SYN is late, so that the far end takes its
// time for the line's; the first connection is answered at once, and order is kept.
func TestOutboxKeepsHandshakesBack(t *testing.T) {
	o := queued()
	o.flows.greet = 50 * time.Millisecond
	answer := func(port uint16) {
		p := made(port, 0, 1, ackFlag|header.TCPFlagSyn, "")
		copy(p[12:], append(bytes.Clone(p[16:20]), p[12:16]...)) // it comes from the far end
		binary.BigEndian.PutUint16(p[20:], 25)
		binary.BigEndian.PutUint16(p[22:], port)
		o.flows.came(p, 4000)
	}
	o.put(made(1, 0, 0, header.TCPFlagSyn, ""))
	taken(t, o)
	answer(1)
	o.put(made(1, 1, 1, ackFlag, "first"))
	wantSegments(t, taken(t, o), "first")

	o.put(made(2, 0, 0, header.TCPFlagSyn, ""))
	taken(t, o)
	answer(2)
	<-o.ready
	begun := time.Now()
	o.put(made(2, 1, 1, ackFlag, ""))
	o.put(made(2, 1, 1, ackFlag, "second"))
	o.put(made(2, 7, 1, ackFlag, "third"))
	if got := taken(t, o); len(got) != 0 {
		t.Errorf("%d segments at once", len(got))
	}
	<-o.ready
	if took := time.Since(begun); took < 40*time.Millisecond {
		t.Errorf("kept back for %v", took)
	}
	wantSegments(t, taken(t, o), "second", "third")
}

// A far end that only offers another window, both above what we use, doesn't look as
// if it asked for something to be sent again.
func TestWindowUpdatesAreSpared(t *testing.T) {
	f := newFlows(200)
	came := func(ack uint32, window uint16, payload string) bool {
		p := made(1, 7, ack, ackFlag, payload)
		binary.BigEndian.PutUint16(p[34:], window)
		return f.came(p, 4000)
	}
	for i, c := range []struct {
		ack      uint32
		window   uint16
		payload  string
		needless bool
	}{
		{100, 9000, "", false}, {100, 9500, "", true}, {100, 9500, "", false}, // the same again is a duplicate
		{100, 3000, "", false}, {100, 9000, "", false}, // less than we use, and more again
		{100, 9100, "x", false}, {200, 9200, "", false}, {200, 8000, "", true},
	} {
		if got := came(c.ack, c.window, c.payload); got != c.needless {
			t.Errorf("segment %d: spared %v", i, got)
		}
	}
}

// A selective acknowledgement that waited until all was acknowledged is a plain one: it
// would say now that something came twice.
func TestOldSelectiveAcknowledgement(t *testing.T) {
	o := queued()
	p := build(ackFlag, 4000, []byte{1, 1, 5, 10, 0, 0, 0, 200, 0, 0, 1, 44}, nil)
	binary.BigEndian.PutUint32(p[28:], 100)
	mustSegment(t, p).remake()
	o.put(bytes.Clone(p))
	if got := taken(t, o); len(got) != 1 || got[0].header != 32 {
		t.Errorf("%+v", got)
	}
	o.put(bytes.Clone(p))
	binary.BigEndian.PutUint32(p[28:], 300)
	newer := build(ackFlag, 4000, nil, nil)
	binary.BigEndian.PutUint32(newer[28:], 300)
	mustSegment(t, newer).remake()
	o.put(newer)
	for _, s := range taken(t, o) {
		if s.header != 20 || s.ack() != 300 {
			t.Errorf("acknowledges %d with options % x", s.ack(), s.tcp()[20:s.header])
		}
	}
}
