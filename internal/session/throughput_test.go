package session

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/internal/freshdir"
	"outpost/internal/pop3"
	"outpost/internal/relay"
	"outpost/queue"
)

const (
	// manyMessages is what a call of the benchmarks moves one way.
	manyMessages = 10_000
	// manyBoxes is how many boxes they come from.
	manyBoxes = 8
)

// Each moves 10,000 messages of 1 kB over loopback by one call, with fsync. The servers are in this process too, and take
// a part of the time.
func BenchmarkDrain(b *testing.B) { benchCall(b, manyMessages, 0) }

func BenchmarkPull(b *testing.B) { benchCall(b, 0, manyMessages) }

func BenchmarkDrainAndPull(b *testing.B) { benchCall(b, manyMessages, manyMessages) }

// benchCall reports messages a second from answer to hang-up, both ways together, and by how much the heap grew at most.
func benchCall(b *testing.B, out, in int) {
	for b.Loop() {
		b.StopTimer()
		q, err := queue.Open(freshdir.Make(b), queue.Options{})
		if err != nil {
			b.Fatal(err)
		}
		fill(b, q, out)
		smtp, pop := &quickSMTP{}, &quickPOP3{boxes: manyBoxes, each: in / manyBoxes}
		opt := quickOffice(b, q, smtp, pop)
		growth := watchHeap()
		b.StartTimer()
		row, err := New(opt).Call(b.Context(), "bench", true)
		b.StopTimer()
		grown := growth()
		if err != nil || row.Sent != out || row.Collected != in || int(smtp.kept.Load()) != out || int(pop.gone.Load()) != in {
			b.Fatalf("%d sent, %d collected, %d at the smarthost, %d deleted, %v, %.3q",
				row.Sent, row.Collected, smtp.kept.Load(), pop.gone.Load(), err, row.Problems)
		}
		b.ReportMetric(float64(out+in)/row.Metered.Seconds(), "messages/s")
		b.ReportMetric(float64(grown)/(1<<20), "MiB-heap-growth")
		if err := q.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// quickOffice is a session with a smarthost and boxes on loopback.
func quickOffice(b *testing.B, q *queue.Queue, smtp *quickSMTP, pop *quickPOP3) Options {
	b.Helper()
	addresses := map[string]string{"smtp:25": serveQuick(b, smtp.serve), "pop:110": serveQuick(b, pop.serve)}
	line := newFakeLine("loopback")
	line.dial = func(ctx context.Context, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addresses[address])
	}
	opt := Options{
		Queue: q, Lines: []Route{{Line: line, MaxCall: time.Hour}},
		Smarthost: &Smarthost{Address: "smtp:25", Relay: relay.Options{TLS: relay.TLSNone}},
		Sort: func(string, io.ReadSeeker, int64) (queue.Message, string, error) {
			return queue.Message{Origin: queue.Collected, To: []queue.Recipient{{Addr: "ann", Where: queue.Local}}}, "", nil
		},
	}
	for i := range pop.boxes {
		name := fmt.Sprint("box", i)
		opt.Boxes = append(opt.Boxes, Box{Name: name, Account: name, Address: "pop:110", POP3: pop3.Options{
			TLS: pop3.TLSNone, User: name, Password: "secret", AllowPlainAuth: true,
		}})
	}
	return opt
}

// quickMessage is 1 kB, and like no other.
func quickMessage(i int) string {
	return fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat(strings.Repeat("x", 70)+"\r\n", 14))
}

// fill queues messages.
func fill(b *testing.B, q *queue.Queue, n int) {
	b.Helper()
	var all sync.WaitGroup
	const writers = 64
	for w := range writers {
		all.Go(func() {
			for i := w; i < n; i += writers {
				_, err := q.Add(b.Context(), queue.Message{
					Origin: queue.Submitted, From: "ann@clinic.example", To: []queue.Recipient{{Addr: "bob@far.example", Where: queue.Remote}},
				}, strings.NewReader(quickMessage(i)))
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// watchHeap looks now and then at what the heap holds that is alive, until growth is called: how much more that was than
// at first, at most.
func watchHeap() (growth func() uint64) {
	live := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	before := live()
	end, most := make(chan struct{}), make(chan uint64)
	go func() {
		high := before
		t := time.NewTicker(20 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				high = max(high, live())
			case <-end:
				most <- high
				return
			}
		}
	}()
	return func() uint64 { close(end); return <-most - before }
}
