package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// far opens a connection to s that is a second long each way.
func far(t *testing.T, s *smarthost, opt Options) (*Client, error) {
	t.Helper()
	c := newCable(lane{limit: -1, delay: time.Second}, lane{limit: -1, delay: time.Second})
	var wg sync.WaitGroup
	wg.Go(func() {
		if opt.TLS == TLSImplicit {
			s.serve(tls.Server(c.far, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*s.cert}}))
			return
		}
		s.serve(c.far)
	})
	t.Cleanup(func() {
		c.close()
		wg.Wait()
	})
	return Open(t.Context(), c.near, opt)
}

// What it takes in round trips of two seconds, from a connection that stands to the end of QUIT. The greeting is half a one.
func TestRoundTrips(t *testing.T) {
	const rtt = 2
	chunking, exim := []string{"PIPELINING", "CHUNKING", "AUTH PLAIN"}, []string{"PIPELINING", "CHUNKING", "PIPECONNECT", "AUTH PLAIN"}
	for name, test := range map[string]struct {
		offers  []string
		opt     Options
		known   *Known
		letters int
		want    time.Duration // seconds
	}{
		"CHUNKING":            {chunking, plain, nil, 100, 1 + rtt*(1+1)},
		"CHUNKING, one":       {chunking, plain, nil, 1, 1 + rtt*(1+1)},
		"PIPELINING":          {[]string{"PIPELINING"}, plain, nil, 10, 1 + rtt*(1+10+1)},
		"neither":             {[]string{"HELP"}, plain, nil, 10, 1 + rtt*(1+10*6+1)},
		"nothing":             {chunking, plain, nil, 0, 1 + rtt*(1+1)},
		"AUTH":                {chunking, Options{TLS: TLSNone, User: "office"}, nil, 10, 1 + rtt*(1+1+1)},
		"AUTH, early":         {exim, Options{TLS: TLSNone, User: "office"}, &Known{Lines: append([]string{"x"}, exim...)}, 10, rtt * (1 + 1)},
		"early, not any more": {chunking, Options{TLS: TLSNone, User: "office"}, &Known{Lines: append([]string{"x"}, exim...)}, 10, rtt * (1 + 1)},
		"implicit TLS":        {exim, Options{TLS: TLSImplicit, User: "office"}, nil, 10, rtt * (1 + 1 + 1 + 1 + 1)},
		"implicit TLS, early": {exim, Options{TLS: TLSImplicit, User: "office"}, &Known{Lines: append([]string{"x"}, exim...)}, 10, rtt + rtt*(1+1)},
		"STARTTLS":            {append(exim, "STARTTLS"), Options{TLS: TLSStart, User: "office"}, nil, 10, 1 + rtt*(1+1+1+1+1+1)},
		"STARTTLS, early": {append(exim, "STARTTLS"), Options{TLS: TLSStart, User: "office"},
			&Known{Lines: append([]string{"x"}, exim...), Clear: append([]string{"x"}, exim...)}, 10, rtt * (1 + 1 + 1 + 1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &smarthost{offers: test.offers, user: "office"}
				test.opt.TLSConfig = trusting(t, s)
				test.opt.Password, test.opt.AllowPlainAuth, test.opt.Known = "secret", true, test.known
				begun := time.Now()
				c, err := far(t, s, test.opt)
				if err != nil {
					t.Fatal(err)
				}
				all, err := drainAll(t.Context(), t, c, letters(test.letters)...)
				took := time.Since(begun).Round(100 * time.Millisecond)
				if err != nil || len(s.letters()) != test.letters || strings.Contains(verdicts(slices.Concat(all...)), "t") {
					t.Fatalf("%v, %v", all, err)
				}
				if took != test.want*time.Second {
					t.Errorf("took %v, want %v s: %q", took, int(test.want), s.writes)
				}
				if k := c.Known(); !slices.Equal(k.Lines[1:], test.offers) || k.At.IsZero() {
					t.Errorf("known is %+v", k)
				}
			})
		})
	}
}

// A server that doesn't take to be spoken to early costs a connection, and the error says what to do.
func TestTooEarly(t *testing.T) {
	known := &Known{Lines: []string{"x", "PIPECONNECT", "AUTH PLAIN"}}
	for name, test := range map[string]struct {
		s     *smarthost
		early bool // the error is about that
	}{
		"greeting":        {&smarthost{greet: "554 synchronization error"}, true},
		"EHLO":            {&smarthost{answers: map[string]string{"EHLO": "503 too early"}}, true},
		"hangs up":        {&smarthost{greet: "HANGUP"}, true},
		"asks on":         {&smarthost{answers: map[string]string{"AUTH": "334 "}}, true},
		"password":        {&smarthost{offers: []string{"AUTH PLAIN"}, user: "other"}, false},
		"no log-in":       {&smarthost{offers: []string{"HELP"}, answers: map[string]string{"AUTH": "503 no"}}, false},
		"another log-in":  {&smarthost{offers: []string{"AUTH LOGIN"}, user: "office", answers: map[string]string{"AUTH PLAIN AG9mZmljZQBzZWNyZXQ=": "503 no"}}, false},
		"421 to password": {&smarthost{offers: []string{"AUTH PLAIN"}, answers: map[string]string{"AUTH": "421 later"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			opt := Options{TLS: TLSNone, AllowPlainAuth: true, User: "office", Password: "secret", Known: known}
			_, err := Open(t.Context(), test.s.start(t), opt)
			if name == "another log-in" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || errors.Is(err, ErrEarly) != test.early || test.early && !e.Temporary {
				t.Errorf("%+v", err)
			}
		})
	}
}

// What is known of a server that answered EHLO at too great a length is bounded, and so is what a stored limit can do.
func TestKnown(t *testing.T) {
	if n := (*Known)(nil).MaxSize(); n != 0 {
		t.Error(n)
	}
	if n := (&Known{Lines: []string{"x", "SIZE 12345"}}).MaxSize(); n != 12345 {
		t.Error(n)
	}
	long := slices.Repeat([]string{"X" + strings.Repeat("y", 1000)}, 100)
	s := &smarthost{offers: long}
	c := open(t, s, Options{TLS: TLSNone, Known: &Known{MaxMessages: 1, MaxRecipients: -3, LimitsAt: time.Now().Add(-2 * limitsLast)}})
	if k := c.Known(); len(k.Lines) != knownLines || len(k.Lines[1]) != knownWidth || k.MaxMessages != 0 || k.MaxRecipients != 0 {
		t.Errorf("%d lines, %d messages, %d recipients", len(k.Lines), k.MaxMessages, k.MaxRecipients)
	}
	_ = c.Close()
	c = open(t, &smarthost{}, Options{TLS: TLSNone, Known: &Known{MaxMessages: 1, MaxRecipients: 2, LimitsAt: time.Now()}})
	all, err := drainAll(t.Context(), t, c, letters(2)...)
	if !errors.Is(err, ErrLimit) || len(all) != 1 || verdicts(all[0]) != "ok ok untried" {
		t.Errorf("%v, %v", all, err)
	}
}

// A server's limits of messages on a connection, and what is made of them the next time.
func TestMaxMessages(t *testing.T) {
	for name, test := range map[string]struct {
		offers []string
		enough string
		limit  bool // it is taken for one
		learnt int
	}{
		"said":         {[]string{"LIMITS MAILMAX=2 RCPTMAX=90"}, "", true, 0},
		"421":          {nil, "421 4.7.0 too many messages in this connection", true, 2},
		"452":          {nil, "452 too many messages in this connection", true, 2},
		"550":          {nil, "550 too many messages in this session", true, 2},
		"no reason":    {nil, "421 bye", true, 0},
		"rate":         {nil, "450 4.7.1 slow down", true, 0},
		"not a limit":  {nil, "550 5.7.1 the sender may not", false, 0},
		"not a limit2": {nil, "454 4.7.0 no", false, 0},
	} {
		for mode, offers := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				s := &smarthost{offers: append(test.offers, offers...), enough: test.enough}
				if test.enough != "" {
					s.most = 2
				}
				messages := letters(6)
				for i := range messages {
					messages[i].From = "same@x"
				}
				c := open(t, s, plain)
				all, err := drainAll(t.Context(), t, c, messages...)
				if errors.Is(err, ErrLimit) != test.limit || len(all) < 2 || verdicts(slices.Concat(all[:2]...)) != "ok ok ok ok ok ok" {
					t.Fatalf("%+v, %v", all, err)
				}
				for i, results := range all[2:] {
					if got := verdicts(results); (got == "untried untried untried") != test.limit {
						t.Errorf("message %d: %s", i+2, got)
					}
				}
				if test.enough == "" && len(all) != 2 {
					t.Errorf("%d messages were taken", len(all))
				}
				k := c.Known()
				if k.MaxMessages != test.learnt {
					t.Errorf("known are %+v", k)
				}
				if test.learnt > 0 {
					s = &smarthost{offers: offers}
					all, err := drainAll(t.Context(), t, open(t, s, Options{TLS: TLSNone, Known: &k}), messages...)
					if !errors.Is(err, ErrLimit) || len(all) != 2 || len(s.letters()) != 2 {
						t.Errorf("the next time %+v, %v", all, err)
					}
				}
			})
		}
	}
}

func TestMaxRecipients(t *testing.T) {
	const c, d = "RCPT TO:<c0@x>", "RCPT TO:<d0@x>"
	for name, test := range map[string]struct {
		offers  string
		answers map[string]string
		want    string
		learnt  int
	}{
		"said":         {"LIMITS RCPTMAX=2", nil, "ok ok untried", 0},
		"452":          {"HELP", map[string]string{c: "452 4.5.3 too many recipients", d: "452 4.5.3 too many recipients"}, "ok untried untried", 1},
		"old":          {"HELP", map[string]string{d: "552 too many recipients"}, "ok ok untried", 2},
		"no reason":    {"HELP", map[string]string{d: "452 sorry"}, "ok ok untried", 0},
		"mailbox full": {"HELP", map[string]string{c: "452 4.2.2 mailbox full"}, "ok temporary ok", 0},
		"first":        {"HELP", map[string]string{"RCPT": "452 4.5.3 too many recipients"}, "temporary temporary temporary", 0},
		"refused":      {"HELP", map[string]string{d: "452 too many recipients", "content": "550 no"}, "permanent permanent untried", 2},
	} {
		for mode, offers := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				s := &smarthost{offers: append(offers, test.offers), answers: test.answers}
				client := open(t, s, plain)
				all, err := drainAll(t.Context(), t, client, letters(1)...)
				if err != nil || verdicts(all[0]) != test.want {
					t.Fatalf("%+v, %v", all, err)
				}
				if k := client.Known(); k.MaxRecipients != test.learnt {
					t.Errorf("known are %+v", k)
				}
			})
		}
	}
}

// The window bounds what is in doubt when the line falls silent; one message always may be under way.
func TestWindow(t *testing.T) {
	for window, doubtful := range map[int64]int{1: 1, 999: 1, 1000: 1, 2000: 2, 4100: 5, 0: 10} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &smarthost{offers: modes["CHUNKING"], answers: map[string]string{"content m0@x": "MUTE"}}
				messages := letters(10)
				for i := range messages {
					messages[i].Open = text(strings.Repeat("x", 998))
				}
				begun := time.Now()
				all, err := drainAll(t.Context(), t, open(t, s, Options{TLS: TLSNone, Window: window}), messages...)
				if err == nil || strings.Count(verdicts(slices.Concat(all...)), "?") != 3*doubtful {
					t.Errorf("%s, %v", verdicts(slices.Concat(all...)), err)
				}
				for i, results := range all[doubtful:] {
					if verdicts(results) != "untried untried untried" {
						t.Errorf("message %d: %s", doubtful+i, verdicts(results))
					}
				}
				if took := time.Since(begun); took != finalFactor*defaultTimeout {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}
