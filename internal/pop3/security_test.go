package pop3

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func trusting(t *testing.T, d *maildrop, mode TLSMode) Options {
	t.Helper()
	cert, pool := certificate()
	d.cert = &cert
	return Options{
		TLS: mode, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "pop.example", RootCAs: pool}, User: "office", Password: "secret",
	}
}

func TestTLS(t *testing.T) {
	for _, mode := range []TLSMode{TLSImplicit, TLSStart} {
		d, a := &maildrop{mails: three()}, newArchive()
		report, err := d.collect(t, trusting(t, d, mode), a)
		if err != nil || report.Deleted != 3 || !a.holds(three()) {
			t.Errorf("%s: %+v, %v", mode, report, err)
		}
		if stls := slices.Contains(d.commands, "STLS"); stls != (mode == TLSStart) {
			t.Errorf("%s: %q", mode, d.commands)
		}
	}
}

func TestNoTLS(t *testing.T) {
	for name, test := range map[string]struct {
		answers map[string]string
		opt     func(*Options)
		says    string
	}{
		"not offered":  {map[string]string{"STLS": "-ERR what?"}, nil, "STLS: -ERR what?"},
		"injection":    {map[string]string{"STLS": "+OK\r\n+OK\r\n+OK"}, nil, "wasn't asked for"},
		"half a line":  {map[string]string{"STLS": "+OK\r\n+O"}, nil, "wasn't asked for"},
		"other name":   {nil, func(o *Options) { o.TLSConfig.ServerName = "other.example" }, "other.example"},
		"other issuer": {nil, func(o *Options) { o.TLSConfig.RootCAs = nil }, "unknown authority"},
		"no TLS":       {nil, func(o *Options) { o.TLS = TLSNone }, "without TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &maildrop{mails: three(), answers: test.answers}
			opt := trusting(t, d, TLSStart)
			if test.opt != nil {
				test.opt(&opt)
			}
			_, err := d.collect(t, opt, newArchive())
			var e *Error
			if !errors.As(err, &e) || e.Temporary || e.Hint == "" || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v", e)
			}
			if slices.ContainsFunc(d.commands, func(c string) bool { return strings.HasPrefix(c, "USER") || strings.HasPrefix(c, "PASS") }) {
				t.Errorf("log-in without TLS: %q", d.commands)
			}
		})
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	d, opt := &maildrop{}, plain
	opt.Password = "swordfish"
	if _, err := d.collect(t, opt, newArchive()); err == nil || err.Error() != "pop3: PASS: -ERR [AUTH] *** is not it" {
		t.Error(err)
	}
	for _, bad := range []string{"a\r\nDELE 1", "a\x00"} {
		d, opt := &maildrop{}, plain
		opt.Password = bad
		if _, err := d.collect(t, opt, newArchive()); err == nil || strings.Contains(err.Error(), "DELE") || len(d.commands) > 0 {
			t.Error(err, d.commands)
		}
	}
}

// Replies that nobody asked for shift all that follow by one: the text of one message would be saved as another, and that one deleted.
func TestUnbidden(t *testing.T) {
	for _, command := range []string{"LIST", "RETR 1", "DELE 1"} {
		d, a := &maildrop{mails: three()}, newArchive()
		honest := map[string]string{"LIST": d.transact("LIST", "", map[int]bool{}), "RETR 1": d.transact("RETR", "1", map[int]bool{}), "DELE 1": "+OK"}
		d.answers = map[string]string{command: honest[command] + "\r\n-ERR idle too long"}
		report, err := d.collect(t, plain, a)
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, errUnbidden) || !e.Temporary || report.Deleted != 0 || len(d.mails) != 3 {
			t.Errorf("%s: %+v, %v", command, report, err)
		}
		d.answers = nil
		if _, err := d.collect(t, plain, a); err != nil || !a.holds(three()) {
			t.Errorf("%s: next session: %v, %q", command, err, a.texts)
		}
	}
}

// A server that sends for ever is left, with a bounded amount of memory taken by then.
func TestEndlessReplies(t *testing.T) {
	line := strings.Repeat("x", 998) + "\r\n"
	for name, test := range map[string]struct {
		before []string
		flood  string
		most   uint64
		says   error
	}{
		"greeting": {nil, strings.Repeat("x", 1000), 64 << 10, errNotPOP3},
		"LIST":     {[]string{"+OK", "-ERR", "+OK", "+OK", "+OK"}, "1 1 " + line, maxListing + 64<<10, errTooLong},
		"RETR":     {[]string{"+OK", "-ERR", "+OK", "+OK", "+OK\r\n1 500\r\n.", "+OK\r\n1 u1\r\n.", "+OK"}, line, retrSlack + 64<<10, errTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			sent := make(chan int)
			go func() {
				buf := make([]byte, 100)
				for i, answer := range test.before {
					if i > 0 {
						_, _ = far.Read(buf)
					}
					_, _ = io.WriteString(far, answer+"\r\n")
				}
				n, flood := 0, []byte(strings.Repeat(test.flood, 50))
				for {
					k, err := far.Write(flood)
					if n += k; err != nil {
						break
					}
				}
				sent <- n
			}()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			a := newArchive()
			_, err := Collect(t.Context(), near, plain, a)
			runtime.ReadMemStats(&after)
			var e *Error
			if !errors.Is(err, test.says) || !errors.As(err, &e) || e.Hint == "" || len(a.texts) > 0 {
				t.Errorf("%v", err)
			}
			if n := <-sent; uint64(n) > test.most { //nolint:gosec // a count
				t.Errorf("%d octets were read", n)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 10*test.most+8<<20 {
				t.Errorf("%d octets were allocated", took)
			}
		})
	}
}
