//go:build linux

package main

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// preset is a line as it is found in the field.
type preset struct {
	up, down float64 // bit/s
	rtt      time.Duration
	mtu      int // octets of an IP packet
	buffer   int // octets that wait before each end
}

var presets = map[string]preset{
	"landline33": {33600, 33600, 150 * time.Millisecond, 1500, 16 << 10},
	"v90":        {33600, 48000, 130 * time.Millisecond, 1500, 16 << 10},
	"gsm":        {9600, 9600, 600 * time.Millisecond, 576, 8 << 10},
	"iridium":    {2400, 2400, 1800 * time.Millisecond, 576, 8 << 10},
	"certus":     {176000, 176000, 700 * time.Millisecond, 1500, 64 << 10},
	"none":       {1e9, 1e9, 0, 1500, 1 << 20},
}

// options are the command line.
type options struct {
	preset   string
	up, down dirConfig
	mtu      int
	seed     int64
	report   string // file; "": standard output
	pcap     string // file; "": no trace
	cc       string // TCP's congestion control, on both sides
	command  []string
}

// rtt is the round trip of an empty line.
func (o options) rtt() time.Duration { return o.up.delay + o.down.delay }

// parse reads the command line. Flags override what the preset says.
func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("linksim run", flag.ContinueOnError)
	names := strings.Join(slices.Sorted(maps.Keys(presets)), ", ")
	fs.StringVar(&o.preset, "preset", "landline33", "one of "+names)
	rate := fs.Float64("rate", 0, "bit/s each way")
	rateUp := fs.Float64("rate-up", 0, "bit/s from field to isp")
	rateDown := fs.Float64("rate-down", 0, "bit/s from isp to field")
	delay := fs.Duration("delay", -1, "one way")
	mtu := fs.Int("mtu", 0, "octets of an IP packet")
	buffer := fs.Int("buffer", 0, "octets that wait before each end; more are dropped")
	fs.IntVar(&o.up.overhead, "overhead", 8, "octets of framing around a packet (PPP in HDLC)")
	fs.BoolVar(&o.up.stuff, "stuff", true, "count HDLC's octet stuffing")
	fs.IntVar(&o.up.bits, "bits", 8, "bits on the line for an octet (10: asynchronous)")
	fs.Float64Var(&o.up.loss, "loss", 0, "probability that a packet is lost")
	fs.Int64Var(&o.seed, "seed", 1, "of the losses")
	fs.StringVar(&o.report, "report", "", "file for the report (JSON) instead of standard output")
	fs.StringVar(&o.pcap, "pcap", "", "file for a packet trace")
	fs.StringVar(&o.cc, "cc", "cubic", "TCP's congestion control on both sides")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.command = fs.Args()
	p, ok := presets[o.preset]
	switch {
	case !ok:
		return o, fmt.Errorf("unknown preset %q: want one of %s", o.preset, names)
	case len(o.command) == 0:
		return o, fmt.Errorf("no command")
	case *delay >= 0:
		p.rtt = 2 * *delay
	}
	o.mtu = positive(*mtu, p.mtu)
	o.up.delay = p.rtt / 2
	o.up.buffer = positive(*buffer, p.buffer)
	o.down = o.up
	o.up.rate = positive(*rateUp, *rate, p.up)
	o.down.rate = positive(*rateDown, *rate, p.down)
	return o, nil
}

// positive is the first of the values that is set.
func positive[T int | float64](values ...T) T {
	for _, v := range values {
		if v > 0 {
			return v
		}
	}
	return 0
}
