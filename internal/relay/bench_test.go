package relay

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
)

// sink is the cheapest server that there can be, so that the client is measured.
func sink(conn net.Conn, chunking bool) {
	defer func() { _ = conn.Close() }()
	r, w := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 64<<10)
	offer := "HELP"
	if chunking {
		offer = "CHUNKING"
	}
	_, _ = w.WriteString("220 x\r\n")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch string(line[:4]) {
		case "EHLO":
			_, _ = w.WriteString("250-x\r\n250-PIPELINING\r\n250 " + offer + "\r\n")
			continue
		case "BDAT":
			n, _ := strconv.Atoi(strings.Fields(string(line))[1])
			_, _ = r.Discard(n)
		case "DATA":
			_, _ = w.WriteString("354 go\r\n")
			if w.Flush() != nil {
				return
			}
			for string(line) != ".\r\n" {
				if line, err = r.ReadSlice('\n'); err != nil {
					return
				}
			}
		}
		_, _ = w.WriteString("250 2.0.0 ok\r\n")
	}
}

func BenchmarkDrain(b *testing.B) {
	const messages = 10000
	body := "Subject: x\r\n\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog, and so on.\r\n", 17)
	for _, mode := range []string{"CHUNKING", "PIPELINING"} {
		for _, net := range []string{"pipe", "loopback"} {
			b.Run(fmt.Sprint(mode, "/", net), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					near, far := benchConn(b, net)
					go sink(far, mode == "CHUNKING")
					c, err := Open(b.Context(), near, plain)
					if err != nil {
						b.Fatal(err)
					}
					n, ok := 0, 0
					err = c.Drain(b.Context(), func(context.Context) *Message {
						if n++; n > messages {
							return nil
						}
						return &Message{From: "ann@office.example", To: []string{"bob@far.example"}, Size: int64(len(body)), Open: text(body)}
					}, func(_ *Message, results []Result) {
						if results[0].Err == nil {
							ok++
						}
					})
					if err != nil || ok != messages {
						b.Fatal(err, ok)
					}
				}
				b.ReportMetric(float64(messages*b.N)/b.Elapsed().Seconds(), "messages/s")
			})
		}
	}
}

func benchConn(b *testing.B, kind string) (near, far net.Conn) {
	if kind == "pipe" {
		return net.Pipe()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	return near, far
}
