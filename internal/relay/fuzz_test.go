package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"outpost/internal/patience"
)

// fuzzAnswers are what a server may say to anything.
var fuzzAnswers = []string{"", "", "", "", "250 ok", "221 bye", "354 go", "421 bye", "450 later", "452 4.5.3 too many recipients", "452 too many messages in this connection",
	"550 no", "552 full", "503 5.5.1 sequence", "HANGUP", "MUTE", "250-a\r\n251 b", "hello", "354-go\r\n354 on"}

// A server that answers anything with anything, but keeps to itself what it does with it: no Result may claim what isn't so.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0, 1, 2}, uint8(0))
	f.Add([]byte("MAIL RCPT DATA"), uint8(1))
	f.Add([]byte{6, 6, 6, 7, 11, 11, 11, 11, 11, 11, 3, 4, 5, 6, 7, 8}, uint8(5))
	f.Fuzz(func(t *testing.T, script []byte, mode uint8) {
		s := &smarthost{offers: modes[slices.Sorted(maps.Keys(modes))[int(mode)%len(modes)]], answers: map[string]string{}, stays: mode&64 > 0}
		k := 0
		answer := func(keys ...string) {
			for _, key := range keys {
				if k == len(script) {
					return
				}
				if a := fuzzAnswers[int(script[k])%len(fuzzAnswers)]; a != "" {
					s.answers[key] = a
				}
				k++
			}
		}
		for _, m := range evening() {
			answer("MAIL FROM:<"+m.From+">", "content "+m.From, "BDAT "+m.From, "DATA "+m.From)
			for _, to := range m.To {
				answer("RCPT TO:<" + to + ">")
			}
		}
		synctest.Test(t, func(t *testing.T) {
			c := newCable(lane{limit: -1}, lane{limit: -1})
			var wg sync.WaitGroup
			wg.Go(func() { s.serve(c.far) })
			said := map[string]Result{}
			client, err := Open(t.Context(), c.near, plain)
			if err != nil {
				t.Fatal(err)
			}
			messages := evening()
			all, _ := drainAll(t.Context(), t, client, messages...)
			for i, results := range all {
				for _, r := range results {
					said[messages[i].From+" "+r.To] = r
				}
			}
			c.close()
			wg.Wait()
			compare(t, said, s)
			whole(t, s)
			if t.Failed() {
				t.Logf("offers %q, answers %q, heard %q", s.offers, s.answers, s.commands)
			}
		})
	})
}

// Replies that have nothing to do with what was sent: it must end, with a Result for each recipient.
func FuzzReplies(f *testing.F) {
	f.Add([]byte("250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n221 bye\r\n"), true)
	f.Add([]byte("421 a\r\n421 b\r\n550 c\r\n"), false)
	f.Add([]byte("250-\r\n250 x\r\n999\r\n"), true)
	f.Fuzz(func(t *testing.T, wire []byte, chunking bool) {
		near, far := net.Pipe()
		offer := "220 x\r\n250-x\r\n250-PIPELINING\r\n250 HELP\r\n"
		if chunking {
			offer = strings.Replace(offer, "HELP", "CHUNKING", 1)
		}
		go func() { _, _ = io.Copy(io.Discard, far) }()
		go func() {
			_, _ = io.WriteString(far, offer)
			_, _ = far.Write(wire)
			_ = far.Close()
		}()
		c, err := Open(t.Context(), near, plain)
		if err != nil {
			return // the far end may be closed before EHLO is written
		}
		all, _ := drainAll(t.Context(), t, c, evening()...)
		for _, results := range all {
			for _, r := range results {
				var e *Error
				if r.Err != nil && !errors.As(r.Err, &e) {
					t.Errorf("%+v", r)
				}
			}
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"250 ok\r\n", "250-a\r\n250 b\r\n", "250\r\n", "250-\r\n250\r\n", "250 a\n", "25", "250-a\r\n251 b\r\n",
		"550 5.1.1 \x1b[2Jno\r\n", "999 x\r\n", "250_x\r\n", "", strings.Repeat("250-x\r\n", 200), "220 " + strings.Repeat("x", 5000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		in := newReplyReader(bytes.NewReader(wire))
		for {
			rep, err := in.read()
			if err != nil {
				return
			}
			if rep.code < 200 || rep.code > 599 || len(rep.lines) == 0 || len(rep.lines) > maxReplyLines {
				t.Fatalf("%+v", rep)
			}
			s := rep.String()
			if !strings.HasPrefix(s, fmt.Sprint(rep.code)) || len(s) > 4*patience.MaxWords || strings.ContainsAny(s, "\r\n\x1b\x00") {
				t.Fatalf("%q", s)
			}
			if e := rep.enhanced(); e != "" && e[0] != s[0] {
				t.Fatalf("%q in %q", e, s)
			}
			_ = replyError("RCPT", rep)
			parseExtensions(rep.lines)
		}
	})
}

func FuzzEncoder(f *testing.F) {
	f.Add([]byte("a\r\n.\r\nb"), 3)
	f.Add([]byte("\r\r\n\n.\n\x00.\r\x00\n"), 2)
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		var whole, cutUp encoder
		want := whole.finish(whole.append(nil, body))
		cut = min(max(cut, 0), len(body))
		if got := cutUp.finish(cutUp.append(cutUp.append(nil, body[:cut]), body[cut:])); !bytes.Equal(got, want) {
			t.Fatalf("cut at %d: %q, whole %q", cut, got, want)
		}
		lines := strings.Split(string(want), "\r\n")
		if lines[len(lines)-1] != "" || strings.ContainsAny(strings.Join(lines, ""), "\r\n\x00") {
			t.Fatalf("%q becomes %q", body, want)
		}
		var plain strings.Builder
		for _, line := range lines[:len(lines)-1] {
			if line == "." {
				t.Fatalf("%q becomes %q, which ends early", body, want)
			}
			plain.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
		}
		// Independently of the encoder: what arrives is the body with its line ends normalised.
		norm := strings.NewReplacer("\x00", "").Replace(string(body))
		norm = strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(norm)
		if norm != "" && !strings.HasSuffix(norm, "\r\n") {
			norm += "\r\n"
		}
		if plain.String() != norm {
			t.Fatalf("%q arrives as %q", body, plain.String())
		}
	})
}
