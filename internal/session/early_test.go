package session

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A smarthost that offers to be spoken to before it greets, and refuses who does it, costs a second connection once a week.
func TestTooEarlyIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		dialled := 0
		for i, want := range []int{1, 2, 1, 1, 2} {
			if i == 4 {
				time.Sleep(limitHolds)
			}
			if i > 0 {
				o.submit("x", "x@far.example")
			}
			o.line, dialled = newFakeLine("fake"), 0
			o.line.dial = func(context.Context, string) (net.Conn, error) {
				dialled++
				near, far := net.Pipe()
				go greetingFirst(far)
				return near, nil
			}
			o.opt.Lines = []Route{o.route(o.line)}
			if row := o.mustCall(); row.Sent != 1 || dialled != want || len(row.Problems) > 0 {
				t.Errorf("call %d sent %d over %d connections, want %d: %q", i, row.Sent, dialled, want, row.Problems)
			}
		}
	})
}

// greetingFirst is a smarthost that listens before it greets.
func greetingFirst(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewScanner(conn)
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		_, _ = fmt.Fprint(conn, "554 you talk too soon\r\n")
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	_, _ = fmt.Fprint(conn, "220 smtp.provider.example\r\n")
	for content := false; in.Scan(); {
		answer := "250 2.0.0 ok"
		switch line := in.Text(); {
		case content && line != ".":
			continue
		case strings.HasPrefix(line, "EHLO"):
			answer = "250-smtp.provider.example\r\n250 PIPECONNECT"
		case line == "DATA":
			answer = "354 go on"
		case line == "QUIT":
			answer = "221 bye"
		}
		content = strings.HasPrefix(answer, "354")
		_, _ = fmt.Fprint(conn, answer+"\r\n")
	}
}
