package session

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// The servers of the throughput benchmarks: as little work as the wire allows, because they share the processors with
// what is measured. They keep nothing and know no misbehaviour; package isp has those that do.

// serveQuick serves connections on loopback until the benchmark ends, and gives the address.
func serveQuick(b *testing.B, serve func(*quickConn)) string {
	b.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(&quickConn{in: bufio.NewReaderSize(conn, 64<<10), out: bufio.NewWriterSize(conn, 64<<10)})
			}()
		}
	}()
	return l.Addr().String()
}

// quickConn answers when it has read all that has come.
type quickConn struct {
	in  *bufio.Reader
	out *bufio.Writer
}

// command reads a line and gives its words; none when the connection has ended.
func (c *quickConn) command() []string {
	if c.in.Buffered() == 0 {
		_ = c.out.Flush()
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil
	}
	return strings.Fields(string(line))
}

func (c *quickConn) say(lines string) { _, _ = c.out.WriteString(lines) }

// quickSMTP is a smarthost with PIPELINING and CHUNKING that takes everything and counts it.
type quickSMTP struct{ kept atomic.Int64 }

func (s *quickSMTP) serve(c *quickConn) {
	defer func() { _ = c.out.Flush() }()
	c.say("220 quick ESMTP\r\n")
	for words := c.command(); len(words) > 0; words = c.command() {
		switch words[0] {
		case "EHLO":
			c.say("250-quick\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250-SIZE 0\r\n250 CHUNKING\r\n")
		case "BDAT":
			n, _ := strconv.Atoi(words[1])
			if _, err := io.CopyN(io.Discard, c.in, int64(n)); err != nil {
				return
			}
			if len(words) > 2 {
				s.kept.Add(1)
			}
			c.say("250 2.0.0 OK\r\n")
		case "QUIT":
			c.say("221 2.0.0 bye\r\n")
			return
		default:
			c.say("250 2.0.0 OK\r\n")
		}
	}
}

// quickPOP3 has boxes of each so many messages, which it makes when they are asked for.
type quickPOP3 struct {
	boxes, each int
	gone        atomic.Int64 // deleted
}

func (s *quickPOP3) serve(c *quickConn) {
	defer func() { _ = c.out.Flush() }()
	size := len(quickMessage(0)) + 4
	c.say("+OK quick\r\n")
	for words := c.command(); len(words) > 0; words = c.command() {
		switch words[0] {
		case "CAPA":
			c.say("+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\n.\r\n")
		case "LIST":
			s.list(c, func(i int) string { return strconv.Itoa(size) })
		case "UIDL":
			s.list(c, func(i int) string { return "uidl-" + strconv.Itoa(i) })
		case "RETR":
			i, _ := strconv.Atoi(words[1])
			c.say("+OK\r\n" + quickMessage(i) + ".\r\n")
		case "DELE":
			s.gone.Add(1)
			c.say("+OK\r\n")
		case "QUIT":
			c.say("+OK bye\r\n")
			return
		default:
			c.say("+OK\r\n")
		}
	}
}

func (s *quickPOP3) list(c *quickConn, what func(int) string) {
	c.say("+OK\r\n")
	for i := 1; i <= s.each; i++ {
		c.say(fmt.Sprintf("%d %s\r\n", i, what(i)))
	}
	c.say(".\r\n")
}
