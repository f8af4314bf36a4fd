package pop3

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

// null is a Store that reads and keeps nothing.
type null struct{}

func (null) Seen() (map[string]Seen, error) { return nil, nil }

func (null) Save(_ context.Context, _ int64, body io.Reader, _ func() string, done func(error)) {
	_, err := io.Copy(io.Discard, body)
	done(err)
}

func (null) Forget(context.Context, []string) error { return nil }

func (null) Hold(context.Context, Held) error { return nil }

func (null) Renamed(context.Context, map[string]string) error { return nil }

// BenchmarkCollect is a box of 10,000 small messages, or one of ten large ones, over the loopback interface.
func BenchmarkCollect(b *testing.B) {
	line := strings.Repeat("x", 70) + "\r\n"
	for name, size := range map[string]struct {
		mails, lines int
		uidl         bool
	}{"small": {10_000, 20, true}, "small, by content": {10_000, 20, false}, "large": {10, 100_000, true}} {
		b.Run(name, func(b *testing.B) {
			box := many(size.mails)
			for i := range box {
				box[i].text = "Subject: x\r\n\r\n" + strings.Repeat(line, size.lines)
				if !size.uidl {
					box[i].uidl = ""
				}
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Skip(err)
			}
			defer listener.Close()
			b.SetBytes(int64(len(box) * len(box[0].text)))
			b.ReportAllocs()
			for b.Loop() {
				go func() {
					far, err := listener.Accept()
					if err == nil {
						(&maildrop{mails: box}).serve(far)
					}
				}()
				near, err := net.Dial("tcp", listener.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				report, err := Collect(b.Context(), near, acquainted(plain), null{})
				if err != nil || report.Collected+report.Skipped != size.mails {
					b.Fatal(report.Collected, err)
				}
			}
			b.ReportMetric(float64(size.mails)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkFingerprint is of a header as mail has it that came through a list.
func BenchmarkFingerprint(b *testing.B) {
	text := strings.Repeat("Received: from a.example by b.example\r\n\twith ESMTP id 0123456789\r\n\tfor <ann@x.example>; Wed, 25 Nov 2026 10:00:00 +0000\r\n", 8) +
		strings.Repeat("X-Some-Header-Field: with some of its value in it\r\n", 20) + printedHeader + "\r\n" + strings.Repeat("body\r\n", 1000)
	b.ReportAllocs()
	for b.Loop() {
		if Fingerprint(strings.NewReader(text)) == "" {
			b.Fatal("none")
		}
	}
}
