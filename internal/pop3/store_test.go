package pop3

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// saver is a Store of one function, that has seen nothing.
type saver func(body io.Reader, identity func() string, done func(error))

func (saver) Seen() (map[string]Seen, error) { return nil, nil }

func (s saver) Save(_ context.Context, _ int64, body io.Reader, identity func() string, done func(error)) {
	s(body, identity, done)
}

func (saver) Forget(context.Context, []string) error { return nil }

func (saver) Hold(context.Context, Held) error { return nil }

func (saver) Renamed(context.Context, map[string]string) error { return nil }

// A Store that won't have a message, or says so too early, costs nothing but that message.
func TestStoreReadsNotToTheEnd(t *testing.T) {
	no := errors.New("no")
	for name, save := range map[string]saver{
		"refuses at once":   func(_ io.Reader, _ func() string, done func(error)) { done(no) },
		"refuses in time":   func(body io.Reader, _ func() string, done func(error)) { _, _ = body.Read(make([]byte, 3)); done(no) },
		"says yes too soon": func(_ io.Reader, _ func() string, done func(error)) { done(nil) },
		"refuses later":     func(_ io.Reader, _ func() string, done func(error)) { time.AfterFunc(time.Minute, func() { done(no) }) },
	} {
		for _, uidl := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				d := &maildrop{mails: three()[:2]}
				if !uidl {
					d.mails[0].uidl, d.mails[1].uidl = "", ""
				}
				report, err := d.collect(t, acquainted(plain), save)
				if err != nil || report.Failed != 2 || report.Deleted != 0 || len(report.Problems) != 2 || len(d.mails) != 2 || len(report.Waiting) != 2 {
					t.Errorf("%s: %+v, %v", name, report, err)
				}
			})
		}
	}
}

// By content a message is known when its last octet was read, and not before.
func TestIdentityByContent(t *testing.T) {
	d := &maildrop{mails: []mail{{"", "one\r\n"}, {"u", "two\r\n"}}}
	identity := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("one\r\n")))
	var got []string
	report, err := d.collect(t, acquainted(plain), saver(func(body io.Reader, identity func() string, done func(error)) {
		before := identity()
		_, _ = io.ReadAll(body)
		got = append(got, before, identity())
		done(nil)
	}))
	if err != nil || report.Collected != 2 || len(got) != 4 || got[0] != "" || got[1] != identity || !slices.Equal(got[2:], []string{"u", "u"}) {
		t.Errorf("%+v, %v, %q", report, err, got)
	}
}

// Copies that are saved at the same time are one message, and each is deleted.
func TestCopiesAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a := &maildrop{mails: []mail{{"", "same\r\n"}, {"", "same\r\n"}, {"", "another\r\n"}}}, newArchive()
		a.late = time.Minute
		report, err := d.collect(t, acquainted(plain), a)
		if err != nil || report.Collected != 2 || report.Skipped != 1 || report.Deleted != 3 || len(a.texts) != 2 {
			t.Errorf("%+v, %v, %q", report, err, a.texts)
		}
	})
}

// Reading goes on while messages are being made durable, up to a number; DELE waits for the last of them.
func TestSavesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &maildrop{mails: many(200)}
		var open, most atomic.Int32
		begun := time.Now()
		report, err := d.collect(t, acquainted(plain), saver(func(body io.Reader, _ func() string, done func(error)) {
			_, _ = io.Copy(io.Discard, body)
			if n := open.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.AfterFunc(time.Minute, func() { open.Add(-1); done(nil) })
		}))
		if err != nil || report.Deleted != 200 || most.Load() != maxSaves || time.Since(begun) != 4*time.Minute {
			t.Errorf("%+v, %v, %d at once, %v", report, err, most.Load(), time.Since(begun))
		}
	})
}

// The line dies while messages are being made durable: what is said of them waits for that.
func TestCutWhileSaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a := &maildrop{mails: three(), answers: map[string]string{"RETR 2": "HANGUP"}}, newArchive()
		a.late = time.Hour
		report, err := d.collect(t, acquainted(plain), a)
		if err == nil || report.Collected != len(a.texts) || len(a.seen) != len(a.texts) || len(report.Waiting) != 3-len(a.texts) {
			t.Errorf("%+v, %v, %q", report, err, a.texts)
		}
	})
}

// A large message passes through, and is nowhere held.
func TestLargeMessageIsNotHeld(t *testing.T) {
	near, far := net.Pipe()
	piece := []byte(strings.Repeat(strings.Repeat("x", 76)+"\r\n", 200))
	const pieces = 1000
	go func() {
		buf := make([]byte, 100)
		for _, answer := range []string{"+OK hello\r\n", "+OK\r\n+OK\r\n+OK\r\n1 15600000\r\n.\r\n+OK\r\n1 u\r\n.\r\n", "+OK\r\n"} {
			if !strings.Contains(answer, "hello") {
				_, _ = far.Read(buf)
			}
			_, _ = io.WriteString(far, answer)
		}
		for range pieces {
			_, _ = far.Write(piece)
		}
		_, _ = io.WriteString(far, ".\r\n")
		_, _ = far.Read(buf)
		_, _ = io.WriteString(far, "+OK\r\n+OK\r\n")
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report, err := Collect(t.Context(), near, acquainted(plain), null{})
	runtime.ReadMemStats(&after)
	if err != nil || report.Bytes != int64(pieces*len(piece)) || report.Deleted != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d octets were allocated", took)
	}
}

// What is kept of a server is bounded, whatever it says, and comes back from JSON as it was.
func TestKnown(t *testing.T) {
	d := &maildrop{capa: "+OK\r\n" + strings.Repeat("X", 600) + "\r\npipelining\r\nSASL LOGIN PLAIN\r\n" + strings.Repeat("Y Z\r\n", 200) + "."}
	report, err := d.collect(t, plain, newArchive())
	k := report.Known
	if err != nil || k == nil || len(k.Capabilities) != maxCapabilities || !k.has("PIPELINING", "") || !k.has("SASL", "PLAIN") || k.has("SASL", "XOAUTH2") || k.has("LOGIN", "") {
		t.Fatalf("%+v, %v", report, err)
	}
	stored, err := json.Marshal(report)
	if err == nil {
		report = Report{}
		err = json.Unmarshal(stored, &report)
	}
	if err != nil || !slices.Equal(report.Known.Capabilities, k.Capabilities) || !report.Known.fresh(time.Now()) {
		t.Errorf("%s: %v", stored, err)
	}
	now := time.Now()
	for _, known := range []*Known{nil, {}, {At: now.Add(time.Hour)}, {At: now.Add(-freshness)}} {
		if known.fresh(now) {
			t.Errorf("%+v is relied on", known)
		}
	}
}

// What is remembered of messages that weren't collected is bounded.
func TestWaitingIsBounded(t *testing.T) {
	var c collection
	c.settled = true
	c.fresh = waits("w", make([]int64, maxWaiting+10)...)
	if n := len(c.waiting()); n != maxWaiting {
		t.Errorf("%d", n)
	}
}
