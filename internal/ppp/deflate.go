package ppp

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"sync/atomic"
)

// Deflate (RFC 1979) compresses packets with what went before as their dictionary.
// Mail in the clear shrinks to less than half; what TLS has encrypted grows by a few
// octets, so it is for lines without.

const (
	// deflateWindow is the only size that Go's compressor has: 32 KiB.
	deflateWindow = 15
	// compressible are the protocols that count: RFC 1979 §2.2 numbers every packet
	// of these, sent compressed or not.
	compressible = 0x3fff
	seqLen       = 2
)

// tail ends each packet's part of the stream; it is left out on the line
// (RFC 1979 §2.2). lastBlock tells the decompressor that no more comes.
var (
	tail      = []byte{0x00, 0x00, 0xff, 0xff}
	lastBlock = []byte{0x01, 0x00, 0x00, 0xff, 0xff}
)

// deflater compresses what we send. It is the writing goroutine's, but for reset.
type deflater struct {
	z     *flate.Writer
	out   bytes.Buffer
	seq   uint16
	fresh atomic.Bool // the peer has asked to begin anew
}

func newDeflater() *deflater {
	d := new(deflater)
	d.fresh.Store(true)
	return d
}

// reset makes the next packet the first; any goroutine may ask.
func (d *deflater) reset() { d.fresh.Store(true) }

// compress gives what a packet crosses the line as: itself if it wouldn't shrink.
func (d *deflater) compress(protocol uint16, p []byte) (uint16, []byte) {
	if protocol > compressible {
		return protocol, p
	}
	if d.fresh.Swap(false) {
		d.seq = 0
		d.out.Reset()
		if d.z == nil {
			d.z, _ = flate.NewWriter(&d.out, flate.BestCompression) // the level is a valid one
		} else {
			d.z.Reset(&d.out)
		}
	}
	d.out.Reset()
	d.out.Write(binary.BigEndian.AppendUint16(nil, d.seq))
	d.seq++
	_, _ = d.z.Write(protocolField(protocol)) // to a buffer: it can't fail
	_, _ = d.z.Write(p)
	_ = d.z.Flush()
	content := bytes.TrimSuffix(d.out.Bytes(), tail)
	if len(content) >= len(p) {
		return protocol, p // the peer takes it into its dictionary all the same
	}
	return protoDeflate, content
}

// protocolField is a protocol as it stands in front of a packet, compressed where it
// can be.
func protocolField(protocol uint16) []byte {
	if protocol <= 0xff {
		return []byte{byte(protocol)}
	}
	return binary.BigEndian.AppendUint16(nil, protocol)
}

// inflater restores what the peer compressed. It is the engine's.
type inflater struct {
	z      io.ReadCloser
	window []byte // the last 32 KiB
	seq    uint16
	broken bool // until the peer has begun anew
	limit  int  // octets of a packet
}

func newInflater(mru int) *inflater {
	return &inflater{z: flate.NewReader(nil), limit: max(mru, defaultMRU) + 2}
}

// plain is told of a packet that wasn't compressed.
func (f *inflater) plain(protocol uint16, p []byte) {
	if protocol > compressible || f.broken {
		return
	}
	f.seq++
	f.remember(protocolField(protocol), p)
}

func (f *inflater) remember(parts ...[]byte) {
	for _, p := range parts {
		f.window = append(f.window, p...)
	}
	if over := len(f.window) - 1<<deflateWindow; over > 0 {
		f.window = append(f.window[:0], f.window[over:]...)
	}
}

// inflate gives a packet with its protocol in front; false: it is lost, and so is all
// that follows until the peer begins anew.
func (f *inflater) inflate(p []byte) ([]byte, bool) {
	if f.broken || len(p) < seqLen || binary.BigEndian.Uint16(p) != f.seq {
		f.broken = true
		return nil, false
	}
	stream := io.MultiReader(bytes.NewReader(p[seqLen:]), bytes.NewReader(tail), bytes.NewReader(lastBlock))
	resetter, ok := f.z.(flate.Resetter)
	if !ok || resetter.Reset(stream, f.window) != nil {
		f.broken = true
		return nil, false
	}
	got, err := io.ReadAll(io.LimitReader(f.z, int64(f.limit)+1))
	if err != nil || len(got) > f.limit {
		f.broken = true
		return nil, false
	}
	f.seq++
	f.remember(got)
	return got, true
}

// reset begins anew.
func (f *inflater) reset() {
	f.window, f.seq, f.broken = f.window[:0], 0, false
}
