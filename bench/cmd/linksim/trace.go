//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"os"
	"time"
)

// trace is a packet trace in the format of libpcap, for tcpdump. A nil *trace
// writes nothing.
type trace struct {
	file *os.File
	out  *bufio.Writer
}

// openTrace begins a trace; "" is none.
func openTrace(path string) (*trace, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no trace was asked for
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	t := &trace{file: f, out: bufio.NewWriter(f)}
	const raw = 101 // LINKTYPE_RAW: the packet begins with its IP header
	h := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	h = binary.LittleEndian.AppendUint16(h, 2)
	h = binary.LittleEndian.AppendUint16(h, 4)
	for _, v := range []uint32{0, 0, 65535, raw} {
		h = binary.LittleEndian.AppendUint32(h, v)
	}
	_, err = t.out.Write(h)
	return t, err
}

// packet writes one packet, sent at this time. A full disk is seen by close.
func (t *trace) packet(p []byte, at time.Time) {
	if t == nil {
		return
	}
	var h []byte
	for _, v := range []int64{at.Unix(), int64(at.Nanosecond() / 1000), int64(len(p)), int64(len(p))} {
		h = binary.LittleEndian.AppendUint32(h, uint32(v))
	}
	_, _ = t.out.Write(append(h, p...))
}

func (t *trace) close() {
	if t == nil {
		return
	}
	_ = t.out.Flush()
	_ = t.file.Close()
}
