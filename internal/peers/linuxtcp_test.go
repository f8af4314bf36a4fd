package peers_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"outpost/internal/peers"
	"outpost/internal/ppp"
)

// load is what is moved: payload in octets of each direction, by so many connections
// at once in each.
type load struct {
	name        string
	connections int
	up, down    int
}

var loads = []load{
	{name: "up", connections: 1, up: 60_000},
	{name: "down", connections: 1, down: 60_000},
	{name: "up-3", connections: 3, up: 60_000},
	{name: "down-3", connections: 3, down: 60_000},
	{name: "both", connections: 1, up: 60_000, down: 60_000},
	{name: "both-3", connections: 3, up: 60_000, down: 60_000},
}

// slowLines are the lines that are paid by the minute.
var slowLines = []struct {
	name string
	rate int
	rtt  time.Duration
}{
	{"9600", 9600, 600 * time.Millisecond},
	{"2400", 2400, 1800 * time.Millisecond},
}

// BenchmarkLinuxTCP moves random octets over slow lines against a TCP that isn't ours
// and isn't tuned: that of Linux, behind a real pppd. Nothing here is hurried, and with
// a kernel at the far end nothing could be. It prints
//
//	up-%, down-%                     octets on the line beyond the payload, per cent of the payload
//	                                 (headers, framing, escapes, repetitions, acknowledgements of the other direction)
//	up-octets, down-octets           the same, in all; where there is no payload, it is what acknowledgements cost
//	up-again, down-again             octets of payload that crossed a second time, as our stack saw them
//	linux-RetransSegs                segments that the guest's TCP says it has sent again
//	line-s, busy-%                   how long it took, and how much of that the busier direction was sending
//
// All of it takes three quarters of an hour, so a line and a load can be chosen:
//
//	OUTPOST_BENCH=linux go test -run '^$' -bench 'LinuxTCP/9600/up$' -benchtime 1x -timeout 90m ./internal/peers
func BenchmarkLinuxTCP(b *testing.B) {
	if os.Getenv("OUTPOST_BENCH") != "linux" {
		b.Skip("takes 45 minutes of real time: set OUTPOST_BENCH=linux")
	}
	for _, line := range slowLines {
		for _, l := range loads {
			b.Run(line.name+"/"+l.name, func(b *testing.B) {
				for b.Loop() {
					l.measure(b, line.rate, line.rtt)
				}
			})
		}
	}
}

// measure moves a load on a line of its own, and reports.
func (l load) measure(b *testing.B, rate int, rtt time.Duration) {
	guest := peers.StartGuest(b) // a new one, for Linux remembers what it has measured
	far := guest.PPPD(b, peers.PPPDOptions{Rate: rate, Delay: rtt / 2})
	c := callPPPD(b, far, ppp.Config{Rate: rate, RTT: rtt})
	before, retransmitted := c.link.Stats(), guest.Counters(b)["RetransSegs"]
	begun := time.Now()
	l.move(b, c)
	took := time.Since(begun)
	after := c.link.Stats()
	trafficUp, trafficDown := c.stack.Traffic()
	busy := 0.0
	for _, way := range []struct {
		name            string
		payload, octets int64
		again           int64
	}{
		{"up", int64(l.up), after.OctetsOut - before.OctetsOut, trafficUp.Resent},
		{"down", int64(l.down), after.OctetsIn - before.OctetsIn, trafficDown.Resent},
	} {
		busy = max(busy, float64(way.octets)*10/float64(rate)/took.Seconds())
		b.ReportMetric(float64(way.octets), way.name+"-octets")
		b.ReportMetric(float64(way.again), way.name+"-again")
		if way.payload > 0 {
			b.ReportMetric(100*float64(way.octets-way.payload)/float64(way.payload), way.name+"-%")
		}
	}
	b.ReportMetric(float64(guest.Counters(b)["RetransSegs"]-retransmitted), "linux-RetransSegs")
	b.ReportMetric(took.Seconds(), "line-s")
	b.ReportMetric(100*busy, "busy-%")
	b.ReportMetric(0, "ns/op")
}

// move returns when all has arrived.
func (l load) move(b *testing.B, c *pppdCall) {
	var work sync.WaitGroup
	for n := range l.connections {
		for _, way := range []struct {
			payload int
			move    func(context.Context, int, uint64) error
		}{{l.up, c.upload}, {l.down, c.download}} {
			if way.payload == 0 {
				continue
			}
			work.Go(func() {
				if err := way.move(b.Context(), way.payload/l.connections, uint64(n)); err != nil { //nolint:gosec // small
					b.Error(err)
				}
			})
		}
	}
	work.Wait()
}
