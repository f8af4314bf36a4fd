package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"outpost/internal/isp"
	"outpost/modem/modemtest"
	"outpost/queue"
)

// shortCuts is how many offsets the short form tries; the full form
// (OUTPOST_TORTURE=full, `make torture`) tries every one.
const shortCuts = 96

// redialTime is above the fifth of a second in which a lost carrier is noticed.
// After a cut the modem reads what is still on its way to it as commands, and
// "A/" among it repeats the last one: it dials. On a real line that takes seconds,
// and the hang-up ends it; a modem that connected at once would hide the cut.
const redialTime = 500 * time.Millisecond

// smallMail is little enough that a session has few octets to be cut at: two
// messages each way, with what is awkward to carry.
func smallMail() (provider isp.Options, out [][]byte) {
	text := func(id, body string) []byte {
		return fmt.Appendf(nil, "From: x@far.example\r\nMessage-ID: <%s@test>\r\nSubject: %s\r\n\r\n%s\r\n", id, id, body)
	}
	provider = isp.Options{TLS: isp.TLSNone, Boxes: map[string]isp.Box{
		"ann": {Password: demoPassword, Messages: [][]byte{text("in1", "..\r\n.\r\n. dots"), text("in2", strings.Repeat("in ", 60))}},
		"ben": {Password: demoPassword},
	}}
	return provider, [][]byte{text("out1", "."), text("out2", strings.Repeat("out ", 60))}
}

// The carrier is cut after each number of octets of a session, in either
// direction. After the next call no message is lost, truncated or doubled in the
// folders; the smarthost has each message at least once, and twice only those
// whose acceptance was under way, which are marked.
func TestTortureCut(t *testing.T) {
	total := sessionOctets(t)
	step := max(1, total/shortCuts)
	if os.Getenv("OUTPOST_TORTURE") == "full" {
		step = 1
	}
	t.Logf("a session has %d octets; it is cut every %d", total, step)
	var cuts, doubtful, twice atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d cuts: %d messages were left in doubt, %d of those reached the smarthost twice", cuts.Load(), doubtful.Load(), twice.Load())
	})
	for at := int64(1); at <= total; at += step {
		t.Run(strconv.FormatInt(at, 10), func(t *testing.T) {
			t.Parallel()
			marked, again := cutAt(t, at)
			cuts.Add(1)
			doubtful.Add(int64(marked))
			twice.Add(int64(again))
		})
	}
}

// sessionOctets is how many octets cross the line in a call that isn't cut.
func sessionOctets(t *testing.T) int64 {
	t.Helper()
	provider, out := smallMail()
	r := newRig(t, provider, modemtest.Options{})
	r.open(r.configuration(isp.TLSNone))
	for _, text := range out {
		r.submit(text, "x@far.example")
	}
	row, err := r.call()
	if err != nil {
		t.Fatal(err)
	}
	r.close()
	return row.Up + row.Down
}

// cutAt plays a call that is cut and one that isn't, and gives how many messages
// were marked as doubtful and how many reached the smarthost twice.
func cutAt(t *testing.T, octets int64) (marked, twice int) {
	provider, out := smallMail()
	in := provider.Boxes["ann"].Messages
	r := newRig(t, provider, modemtest.Options{CutAfter: octets, DialTime: redialTime})
	r.open(r.configuration(isp.TLSNone))
	for _, text := range out {
		r.submit(text, "x@far.example")
	}
	if row, err := r.call(); !row.OnHook || err != nil && row.Error == "" {
		t.Errorf("the cut call does not say on-hook, or not why it ended: %+v", row)
	}
	if r.modem.Counters().OffHook {
		t.Error("the modem is off-hook after the cut")
	}
	doubtful := r.doubtful()
	r.modem.Set(func(o *modemtest.Options) { o.CutAfter = 0 })
	// Those in doubt, and nothing else, are worth a line.
	if row, err := r.call(); err != nil || len(row.Problems) != len(doubtful) {
		t.Fatalf("the call after the cut: %v, %q, %d doubtful", err, row.Problems, len(doubtful))
	}
	r.delivered()
	for i, text := range in {
		if n := copies(r.folder("ann"), text); n != 1 {
			t.Errorf("collected message %d is in the folder %d times", i, n)
		}
	}
	if n := len(r.folder("ann")); n != len(in) {
		t.Errorf("the folder has %d messages", n)
	}
	if left := len(r.provider.Box("ann")); left != 0 {
		t.Errorf("%d messages are left in the box", left)
	}
	for i, text := range out {
		n := copies(r.received(), text)
		if n != 1 && (n != 2 || !contains(doubtful, text)) {
			t.Errorf("message %d reached the smarthost %d times; %d were doubtful", i, n, len(doubtful))
		}
	}
	if n := len(r.received()); n > len(out)+len(doubtful) {
		t.Errorf("the smarthost has %d messages, %d were doubtful", n, len(doubtful))
	}
	return len(doubtful), len(r.received()) - len(out)
}

// doubtful gives the contents of the messages marked so.
func (r *rig) doubtful() (texts [][]byte) {
	r.t.Helper()
	waiting, err := r.office.queue.Waiting(queue.Remote)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range waiting {
		if !m.To[0].Doubtful {
			continue
		}
		body, err := r.office.queue.Body(m.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		var b bytes.Buffer
		_, err = b.ReadFrom(body)
		_ = body.Close()
		if err != nil {
			r.t.Fatal(err)
		}
		texts = append(texts, b.Bytes())
	}
	return texts
}

func contains(texts [][]byte, text []byte) bool {
	for _, x := range texts {
		if bytes.Equal(x, text) {
			return true
		}
	}
	return false
}
