package ppp

import (
	"bytes"
	"testing"
)

// deframe runs octets through a fresh deframer.
func deframe(in []byte) (frames [][]byte, s Stats) {
	var count counters
	newDeframer(defaultMRU, &count).feed(in, func(f []byte) { frames = append(frames, bytes.Clone(f)) })
	return frames, count.snapshot()
}

func TestDeframer(t *testing.T) {
	good := unhex(t, slirpRequest)
	bad := bytes.Clone(good)
	bad[10] ^= 0x40
	aborted := append(bytes.Clone(good[:len(good)-1]), escape, flag)
	long := append([]byte{flag}, bytes.Repeat([]byte{'a'}, 100_000)...)
	noisy := bytes.Clone(good)
	noisy = append(noisy[:5], append([]byte{0x11, 0x13, 0x00}, noisy[5:]...)...)
	split := bytes.Clone(good[1:]) // a device's XON right behind an escape
	split = append(split[:2], append([]byte{0x11}, split[2:]...)...)
	for _, c := range []struct {
		name   string
		in     [][]byte
		frames int
		want   Stats
	}{
		{"one", [][]byte{good}, 1, Stats{}},
		{"shared flag", [][]byte{good, good[1:]}, 2, Stats{}},
		{"many flags between", [][]byte{good, {flag, flag, flag}, good}, 2, Stats{}},
		{"text before", [][]byte{[]byte("CONNECT 9600\r\nlogin: "), good}, 1, Stats{Junk: 21}},
		{"no flag ever", [][]byte{bytes.Repeat([]byte("login: "), 1000)}, 0, Stats{Junk: 7000}},
		{"noise between", [][]byte{good, []byte("noise!"), good}, 2, Stats{FCSErrors: 1}},
		{"wrong octet", [][]byte{bad, good}, 1, Stats{FCSErrors: 1}},
		{"aborted", [][]byte{aborted, good}, 1, Stats{Aborted: 1}},
		{"too long", [][]byte{long, good}, 1, Stats{Oversized: 1}},
		{"raw control octets", [][]byte{noisy}, 1, Stats{}},
		{"raw control octet in an escape", [][]byte{{flag}, split}, 1, Stats{}},
		{"too short to count", [][]byte{{flag, 1, 2, 3, flag}, good}, 1, Stats{}},
		{"cut off", [][]byte{good[:len(good)-1]}, 0, Stats{}},
	} {
		in := bytes.Join(c.in, nil)
		frames, got := deframe(in)
		c.want.FramesIn = int64(c.frames)
		if len(frames) != c.frames || got != c.want {
			t.Errorf("%s: %d frames, %+v; want %d, %+v", c.name, len(frames), got, c.frames, c.want)
		}
	}
}

// With control characters agreed to be raw they are data, not noise.
func TestDeframerKeepsAgreedControls(t *testing.T) {
	d := newDeframer(defaultMRU, &counters{})
	d.accm = 0
	var got []byte
	d.feed([]byte{flag}, nil)
	d.feed(appendFrame(nil, framing{}, protoIP, []byte{0x11, 0x13, 0, 1}), func(f []byte) { got = bytes.Clone(f) })
	if !bytes.HasSuffix(got, []byte{0x11, 0x13, 0, 1}) {
		t.Errorf("got %x", got)
	}
}

// However long a "frame" is, no more is kept than was offered.
func TestDeframerMemory(t *testing.T) {
	d := newDeframer(defaultMRU, &counters{})
	d.feed([]byte{flag}, nil)
	for range 1000 {
		d.feed(bytes.Repeat([]byte{0xaa}, 4096), func([]byte) { t.Fatal("delivered") })
	}
	if cap(d.buf) > 2*(defaultMRU+frameOverhead) {
		t.Errorf("holds %d octets", cap(d.buf))
	}
}

func FuzzDeframer(f *testing.F) {
	f.Add(unhex(f, slirpRequest), uint32(0xffffffff))
	f.Add([]byte{flag, escape, flag, escape}, uint32(0))
	f.Add([]byte("CONNECT\r\n~~~}~}}"), uint32(0x000a0000))
	f.Fuzz(func(t *testing.T, in []byte, accm uint32) {
		d := newDeframer(minMRU, &counters{})
		d.accm = accm
		d.feed(in, func(frame []byte) {
			if len(frame) > defaultMRU+frameOverhead {
				t.Fatalf("frame of %d octets", len(frame))
			}
			protocol, info, ok := parseFrame(frame)
			if !ok {
				return
			}
			// What was read can be written, and reads the same.
			again, _ := deframe(append([]byte{flag}, appendFrame(nil, plainFraming(), protocol, info)...))
			if len(info)+frameOverhead > defaultMRU {
				return
			}
			if len(again) != 1 {
				t.Fatalf("%04x %x does not come back", protocol, info)
			}
		})
	})
}
