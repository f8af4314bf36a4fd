package relay

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Large messages go in chunks and arrive as they are, whatever lies at the borders.
func TestChunks(t *testing.T) {
	for mode, offers := range modes {
		s := &smarthost{offers: offers}
		var messages []Message
		for i := range 60 {
			body := strings.Repeat(".", i) + strings.Repeat("0123456789012345678901234567890123456789012345678901234567890.\r\n.\r\n", i*15)
			messages = append(messages, Message{From: "m@x", To: []string{"b@x"}, Size: int64(len(body)), Open: text(body)})
		}
		exact := strings.Repeat("x", chunkSize-2) + "\r\n"
		messages = append(messages,
			Message{From: "m@x", To: []string{"b@x"}, Open: text(exact)},
			Message{From: "m@x", To: []string{"b@x"}, Open: text(exact + exact)},
			Message{From: "m@x", To: []string{"b@x"}, Open: text(strings.Repeat("\n", 3*chunkSize))})
		all, err := drainAll(t.Context(), t, open(t, s, plain), messages...)
		if err != nil || len(s.letters()) != len(messages) {
			t.Fatalf("%s: %v, %v", mode, all, err)
		}
		for i, l := range s.letters() {
			body, _ := messages[i].Open()
			want, _ := io.ReadAll(body)
			var e encoder
			e.bdat = true
			if l.body != string(e.finish(e.append(nil, want))) {
				t.Errorf("%s: message %d has arrived with %d octets", mode, i, len(l.body))
			}
		}
	}
}

// The first chunk is small, and there is no small one at the end if the size is known. The CRLF of the last line is not in the size.
func TestPortions(t *testing.T) {
	for size, want := range map[int64]string{
		10: "12 LAST", chunkSize: "16386 LAST", chunkSize + 100: "16486 LAST", 24 << 10: "24578 LAST", 25 << 10: "16384, 9218 LAST",
		64 << 10: "16384, 49154 LAST", 200 << 10: "16384, 32768, 32768, 32768, 32768, 32768, 24578 LAST",
	} {
		s := &smarthost{offers: modes["CHUNKING"]}
		m := Message{From: "m@x", To: []string{"b@x"}, Size: size, Open: text(strings.Repeat("0123456\r\n0123456", int(size))[:size])}
		if results, err := send(t, open(t, s, plain), m); err != nil || verdicts(results) != "ok" {
			t.Fatal(results, err)
		}
		var chunks []string
		for _, line := range s.commands {
			if n, found := strings.CutPrefix(line, "BDAT "); found {
				chunks = append(chunks, n)
			}
		}
		if got := strings.Join(chunks, ", "); got != want {
			t.Errorf("%d octets went as %s, want %s", size, got, want)
		}
	}
}

// What nobody wants isn't sent to its end: with CHUNKING a message can be left at any chunk, and the connection goes on.
func TestLargeForNobody(t *testing.T) {
	const size = 1 << 20
	for name, answers := range map[string]map[string]string{
		"sender": {"MAIL FROM:<m1@x>": "550 no"}, "recipients": {"RCPT m1@x": "550 no"}, "content": {"BDAT m1@x": "552 that is enough"},
	} {
		most := 2 * chunkSize
		if name == "content" {
			most = 4 * chunkSize // it is refused when the first chunk is there
		}
		synctest.Test(t, func(t *testing.T) {
			s := &smarthost{offers: modes["CHUNKING"], answers: answers}
			cable := newCable(lane{limit: -1, delay: time.Second}, lane{limit: -1, delay: time.Second})
			var wg sync.WaitGroup
			wg.Go(func() { s.serve(cable.far) })
			c, err := Open(t.Context(), &thin{Conn: cable.near, rate: 1000}, plain)
			if err != nil {
				t.Fatal(err)
			}
			messages := letters(3)
			messages[1].Open = from(io.LimitReader(zeroes{}, size))
			all, err := drainAll(t.Context(), t, c, messages...)
			cable.close()
			wg.Wait()
			if err != nil || verdicts(slices.Concat(all...)) != "ok ok ok permanent permanent permanent ok ok ok" {
				t.Errorf("%s: %v, %v", name, all, err)
			}
			if cable.up.moved > most {
				t.Errorf("%s: %d octets were sent", name, cable.up.moved)
			}
		})
	}
}

// thin is a conn that takes so many octets a second.
type thin struct {
	net.Conn
	rate int
}

func (c *thin) Write(p []byte) (n int, err error) {
	for piece := range slices.Chunk(p, c.rate) {
		time.Sleep(time.Second)
		k, err := c.Conn.Write(piece)
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// The caller's disk may be slow: while next and done take their time nobody runs out of patience, and each message is sent when it comes.
func TestSlowCaller(t *testing.T) {
	for mode, offers := range modes {
		synctest.Test(t, func(t *testing.T) {
			s := &smarthost{offers: offers}
			c := open(t, s, plain)
			messages := letters(5)
			given, finished, last := 0, 0, time.Time{}
			begun := time.Now()
			err := c.Drain(t.Context(), func(context.Context) *Message {
				time.Sleep(10 * time.Minute)
				if given == len(messages) {
					return nil
				}
				given++
				return &messages[given-1]
			}, func(_ *Message, results []Result) {
				if verdicts(results) != "ok ok ok" {
					t.Errorf("%s: %+v", mode, results)
				}
				finished++
				last = time.Now()
				time.Sleep(25 * time.Minute)
			})
			if err != nil || finished != 5 {
				t.Errorf("%s: %v, %d finished", mode, err, finished)
			}
			if took := last.Sub(begun).Round(time.Second); took != 110*time.Minute {
				t.Errorf("%s: the last was done after %v", mode, took)
			}
		})
	}
}

// When the connection is lost next is called off, and what it gives all the same is untried.
func TestLostWhileNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &smarthost{offers: modes["CHUNKING"], answers: map[string]string{"content": "HANGUP"}}
		messages := letters(2)
		given := 0
		var said []string
		err := open(t, s, plain).Drain(t.Context(), func(ctx context.Context) *Message {
			if given > 0 {
				<-ctx.Done()
			}
			given++
			return &messages[given-1]
		}, func(_ *Message, results []Result) { said = append(said, verdicts(results)) })
		if err == nil || !slices.Equal(said, []string{"temporary? temporary? temporary?", "untried untried untried"}) {
			t.Errorf("%q, %v", said, err)
		}
	})
}

// A Client is for one Drain.
func TestDrainTwice(t *testing.T) {
	c := open(t, &smarthost{offers: everything}, plain)
	if _, err := drainAll(t.Context(), t, c, letters(1)...); err != nil {
		t.Fatal(err)
	}
	if all, err := drainAll(t.Context(), t, c, letters(1)...); err == nil || all != nil {
		t.Errorf("%v, %v", all, err)
	}
}

// Bodies are opened one at a time, and each that was opened is closed.
func TestBodies(t *testing.T) {
	for mode, offers := range modes {
		for _, cut := range []int{-1, 500} {
			var opened, closed atomic.Int32
			messages := letters(10)
			for i := range messages {
				messages[i].Open = func() (io.ReadCloser, error) {
					if opened.Add(1)-closed.Load() != 1 {
						t.Error("two bodies are open")
					}
					return closer{strings.NewReader("text\r\n"), &closed}, nil
				}
			}
			s := &smarthost{offers: offers, answers: map[string]string{"RCPT m3@x": "550 no"}}
			c := newCable(lane{limit: cut}, lane{limit: -1})
			var wg sync.WaitGroup
			wg.Go(func() { s.serve(c.far) })
			client, err := Open(t.Context(), c.near, plain)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = drainAll(t.Context(), t, client, messages...)
			c.close()
			wg.Wait()
			if opened.Load() != closed.Load() || cut < 0 && opened.Load() != 10 {
				t.Errorf("%s: %d were opened, %d closed", mode, opened.Load(), closed.Load())
			}
		}
	}
}

type closer struct {
	io.Reader
	closed *atomic.Int32
}

func (c closer) Close() error {
	c.closed.Add(1)
	return nil
}

// A server that goes on after its 421 is believed what it says; one that goes on and says nothing leaves doubts.
func TestAfter421(t *testing.T) {
	for name, test := range map[string]struct {
		s    *smarthost
		want string // of the last two messages
		wait time.Duration
	}{
		"closes":       {&smarthost{}, "untried untried untried untried untried untried", 0},
		"goes on":      {&smarthost{stays: true}, "ok ok ok ok ok ok", 0},
		"falls silent": {&smarthost{stays: true, answers: map[string]string{"RCPT TO:<b1@x>": "MUTE"}}, "temporary? temporary? temporary? temporary? temporary? temporary?", farewell},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := test.s
				s.offers = modes["CHUNKING"]
				if s.answers == nil {
					s.answers = map[string]string{}
				}
				s.answers["MAIL FROM:<m1@x>"] = "421 going down"
				begun := time.Now()
				all, err := drainAll(t.Context(), t, open(t, s, plain), letters(4)...)
				if err == nil || verdicts(all[0]) != "ok ok ok" || verdicts(all[1]) != "untried untried untried" || verdicts(slices.Concat(all[2:]...)) != test.want {
					t.Errorf("%+v, %v", all, err)
				}
				if took := time.Since(begun); took != test.wait {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// Both ends write at once over conns without any room: somebody must always read.
func TestNoRoom(t *testing.T) {
	for mode, offers := range modes {
		near, far := net.Pipe()
		s := &smarthost{offers: offers}
		go s.serve(far)
		c, err := Open(t.Context(), near, plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := drainAll(t.Context(), t, c, letters(3000)...); err != nil || len(s.letters()) != 3000 {
			t.Errorf("%s: %v, %d accepted", mode, err, len(s.letters()))
		}
	}
}

// A server may have taken what it refused before, when it is not in its right mind; then nobody can say what became of the message.
func TestAcceptsWhatItRefused(t *testing.T) {
	s := &smarthost{offers: modes["CHUNKING"], answers: map[string]string{"MAIL FROM:<m1@x>": "550 no", "BDAT": "250 ok"}}
	near, far := net.Pipe()
	go func() {
		defer func() { _ = far.Close() }()
		_, _ = io.WriteString(far, "220 x\r\n")
		_, _ = far.Read(make([]byte, 100))
		_, _ = io.WriteString(far, "250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
		_, _ = far.Read(make([]byte, 1000))
		_, _ = io.WriteString(far, "550 no\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 queued\r\n")
		_, _ = io.Copy(io.Discard, far)
	}()
	c, err := Open(t.Context(), near, plain)
	if err != nil {
		t.Fatal(err)
	}
	all, err := drainAll(t.Context(), t, c, letters(1)...)
	if err == nil || verdicts(all[0]) != "temporary? temporary? temporary?" || len(s.letters()) > 0 {
		t.Errorf("%+v, %v", all, err)
	}
}
