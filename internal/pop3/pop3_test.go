package pop3

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var plain = Options{TLS: TLSNone, AllowPlainAuth: true, User: "office", Password: "secret"}

func TestSession(t *testing.T) {
	d, a := &maildrop{mails: three()}, newArchive()
	report, err := d.collect(t, plain, a)
	if err != nil || len(report.Problems) > 0 {
		t.Fatal(err, report.Problems)
	}
	report.Problems = nil
	want := Report{Listed: 3, Collected: 3, Deleted: 3, Bytes: int64(len(strings.Join(a.texts, "")))}
	if report.Bytes != want.Bytes || report.Collected != 3 || report.Deleted != 3 || report.Listed != 3 || !a.holds(three()) {
		t.Errorf("%+v, %q", report, a.texts)
	}
	if len(d.mails) != 0 || len(d.commands) != 1+4+2*3+1 {
		t.Errorf("%d left, commands %q", len(d.mails), d.commands)
	}
	// The next one finds nothing, asks for no UIDLs, and forgets.
	if report, err = d.collect(t, plain, a); err != nil || report.Listed != 0 || len(a.seen) != 0 {
		t.Errorf("%+v, %v, seen %v", report, err, a.seen)
	}
	if want := []string{"CAPA", "USER office", "PASS secret", "LIST", "QUIT"}; !slices.Equal(d.commands, want) {
		t.Errorf("commands %q", d.commands)
	}
}

func TestLeaveDays(t *testing.T) {
	now := time.Date(2024, 5, 1, 8, 0, 0, 0, time.UTC)
	opt := plain
	opt.LeaveDays, opt.Now = 3, func() time.Time { return now }
	d, a := &maildrop{mails: three()}, newArchive()
	a.now = opt.Now
	for i, step := range []struct {
		later                             time.Duration
		collected, skipped, left, deleted int
	}{
		{0, 3, 0, 3, 0},
		{71 * time.Hour, 0, 3, 3, 0},
		{time.Hour, 0, 3, 0, 3},
		{time.Hour, 0, 0, 0, 0},
	} {
		now = now.Add(step.later)
		report, err := d.collect(t, opt, a)
		if err != nil || report.Collected != step.collected || report.Skipped != step.skipped ||
			report.Left != step.left || report.Deleted != step.deleted {
			t.Errorf("step %d: %+v, %v", i, report, err)
		}
		if i > 0 && slices.ContainsFunc(d.commands, func(c string) bool { return strings.HasPrefix(c, "RETR") }) {
			t.Errorf("step %d: retrieved again: %q", i, d.commands)
		}
		opt.Emptied = report.Emptied
	}
	if len(a.seen) != 0 || len(a.texts) != 3 {
		t.Errorf("seen %v, %d texts", a.seen, len(a.texts))
	}
	opt.LeaveDays, opt.Emptied = -1, false
	d = &maildrop{mails: three()}
	now = now.Add(-100 * 365 * 24 * time.Hour)
	_, _ = d.collect(t, opt, a)
	now = now.Add(200 * 365 * 24 * time.Hour)
	if report, _ := d.collect(t, opt, a); report.Left != 3 || len(d.mails) != 3 {
		t.Errorf("never to be deleted: %+v", report)
	}
}

// One message's trouble is that message's; the others come in, and nothing unsaved is deleted.
func TestOneBadMessage(t *testing.T) {
	full := errors.New("no room")
	for name, test := range map[string]struct {
		answers map[string]string
		fail    map[string]error
		max     int64
		want    Report
		problem string
		left    int
	}{
		"RETR refused": {map[string]string{"RETR 2": "-ERR [SYS/TEMP] disk"}, nil, 0, Report{Collected: 2, Failed: 1, Deleted: 2}, "message 2 (u2, 27 octets) was not retrieved: pop3: RETR 2: -ERR [SYS/TEMP] disk", 1},
		"not saved":    {nil, map[string]error{"two": full}, 0, Report{Collected: 2, Failed: 1, Deleted: 2}, "message 2 (u2, 27 octets) was not saved, and stays on the server: no room", 1},
		"DELE refused": {map[string]string{"DELE 2": "-ERR no"}, nil, 0, Report{Collected: 3, Deleted: 2}, "is stored here, but was not deleted", 1},
		"too big":      {nil, nil, 26, Report{Collected: 2, TooBig: 1, Deleted: 2}, "", 1},
		"QUIT refused": {map[string]string{"QUIT": "-ERR some deleted messages not removed"}, nil, 0, Report{Collected: 3}, "did not delete all", 3},
		"disk full":    {nil, map[string]error{"Subject": full}, 0, Report{Failed: 3}, "u", 3},
		"LIST odd":     {map[string]string{"LIST": "+OK\r\n1 23\r\nx\r\n1 24\r\n-2 24\r\n3 99999999999999999999\r\n."}, nil, 0, Report{Collected: 1, Deleted: 1}, "LIST has 4 lines", 2},
	} {
		t.Run(name, func(t *testing.T) {
			d, a := &maildrop{mails: three(), answers: test.answers}, newArchive()
			a.seen["gone"] = Seen{At: time.Now()}
			a.fail = test.fail
			opt := plain
			opt.MaxBytes = test.max
			report, err := d.collect(t, opt, a)
			if err != nil || report.Collected != test.want.Collected || report.Failed != test.want.Failed ||
				report.TooBig != test.want.TooBig || report.Deleted != test.want.Deleted {
				t.Fatalf("%+v, %v", report, err)
			}
			if got := errors.Join(report.Problems...); test.problem != "" && (got == nil || !strings.Contains(got.Error(), test.problem)) {
				t.Errorf("problems %v", got)
			} else if test.problem == "" && got != nil {
				t.Error(got)
			}
			if len(d.mails) != test.left {
				t.Errorf("%d left on the server", len(d.mails))
			}
			// Only a complete listing and an orderly end are proof of what is gone.
			_, kept := a.seen["gone"]
			if want := name == "QUIT refused" || name == "LIST odd"; kept != want {
				t.Errorf("forgotten: %v", !kept)
			}
			d.answers, a.fail, opt.MaxBytes = nil, nil, 0
			if _, err := d.collect(t, opt, a); err != nil || len(d.mails) != 0 || !a.holds(three()) {
				t.Errorf("next session: %v, %d left, %q", err, len(d.mails), a.texts)
			}
		})
	}
}

func TestFullDiskStopsRetrieving(t *testing.T) {
	d, a := &maildrop{mails: slices.Concat(three(), []mail{{"u4", "Subject: 4\r\n"}, {"u5", "Subject: 5\r\n"}})}, newArchive()
	a.fail = map[string]error{"Subject": errors.New("no room")}
	report, err := d.collect(t, plain, a)
	if err != nil || report.Failed != 5 || len(d.commands) != 1+4+3+1 {
		t.Errorf("%+v, %v, %q", report, err, d.commands)
	}
}

func TestFailuresNotInARow(t *testing.T) {
	d, a := &maildrop{}, newArchive()
	for _, n := range []string{"bad", "yes", "bad", "yes", "bad", "yes", "bad", "yes"} {
		uidl := "u" + strconv.Itoa(len(d.mails))
		d.mails = append(d.mails, mail{uidl, n + uidl + "\r\n"})
	}
	a.fail = map[string]error{"bad": errors.New("no")}
	if report, err := d.collect(t, plain, a); err != nil || report.Collected != 4 || report.Failed != 4 || len(report.Problems) != 4 {
		t.Errorf("%+v, %v", report, err)
	}
}

// RFC 1939 §7: identical copies may share a UIDL, and are one message.
func TestIdenticalCopies(t *testing.T) {
	d, a := &maildrop{mails: []mail{{"u", "same\r\n"}, {"u", "same\r\n"}}}, newArchive()
	report, err := d.collect(t, plain, a)
	if err != nil || report.Collected != 1 || report.Skipped != 1 || report.Deleted != 2 || len(a.texts) != 1 {
		t.Errorf("%+v, %v, %q", report, err, a.texts)
	}
}

// Without UIDLs, what was not retrieved may be anything that was seen: nothing is forgotten.
func TestUnreadIsNotForgotten(t *testing.T) {
	opt := plain
	opt.LeaveDays = 9
	d, a := &maildrop{mails: three(), answers: map[string]string{"UIDL": "-ERR what?"}}, newArchive()
	_, _ = d.collect(t, opt, a)
	for _, trouble := range []string{"RETR 2", "MaxBytes"} {
		d.answers["RETR 2"] = "-ERR not now"
		if trouble == "MaxBytes" {
			delete(d.answers, "RETR 2")
			opt.MaxBytes = 26
		}
		if _, err := d.collect(t, opt, a); err != nil || len(a.seen) != 3 {
			t.Errorf("%s: %v, seen %v", trouble, err, a.seen)
		}
		opt.MaxBytes = 0
	}
	if report, err := d.collect(t, opt, a); err != nil || report.Skipped != 3 || !a.holds(three()) {
		t.Errorf("%+v, %v, %q", report, err, a.texts)
	}
}

// A message of which the server dies comes last the next time, and alone, so that it doesn't hold the others back.
func TestDeadlyMessage(t *testing.T) {
	for name, opt := range map[string]Options{"one by one": plain, "pipelined": acquainted(plain)} {
		t.Run(name, func(t *testing.T) {
			d, a := &maildrop{mails: three(), answers: map[string]string{"RETR 1": "HANGUP"}}, newArchive()
			for _, tried := range []int{1, 2, 3} {
				var e *Error
				report, err := d.collect(t, opt, a)
				if !errors.As(err, &e) || !e.Temporary || e.Early || !strings.Contains(err.Error(), "message 1 (u1") || report.Failed != 1 {
					t.Fatalf("%+v, %v", report, err)
				}
				if got := report.Waiting["u1"].Tried; got != tried {
					t.Errorf("tried %d times, want %d", got, tried)
				}
				opt.Waiting = report.Waiting
			}
			if len(a.texts) != 2 {
				t.Errorf("only %q came in", a.texts)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	for name, test := range map[string]struct {
		answers   map[string]string
		code      string
		temporary bool
		hint      string
	}{
		"greeting":          {map[string]string{"greeting": "-ERR [SYS/TEMP] overloaded"}, "SYS/TEMP", true, ""},
		"greeting, words":   {map[string]string{"greeting": "-ERR go away"}, "", true, ""},
		"USER":              {map[string]string{"USER": "-ERR who?"}, "", false, "user name or password"},
		"AUTH":              {map[string]string{"PASS": "-ERR [AUTH] no"}, "AUTH", false, "user name or password"},
		"words":             {map[string]string{"PASS": "-ERR authentication failed"}, "", false, "user name or password"},
		"no words":          {map[string]string{"PASS": "-ERR"}, "", false, "user name or password"},
		"IN-USE":            {map[string]string{"PASS": "-ERR [in-use] Do you have another POP session running?"}, "IN-USE", true, "locked"},
		"locked, words":     {map[string]string{"PASS": "-ERR maildrop already locked"}, "", true, "locked"},
		"later, words":      {map[string]string{"PASS": "-ERR temporary failure"}, "", true, ""},
		"LOGIN-DELAY":       {map[string]string{"PASS": "-ERR [LOGIN-DELAY] 900 s"}, "LOGIN-DELAY", true, "schedule"},
		"LOGIN-DELAY, long": {map[string]string{"PASS": "-ERR [LOGIN-DELAY/USER] 900 s"}, "LOGIN-DELAY/USER", true, "schedule"},
		"SYS/TEMP":          {map[string]string{"PASS": "-ERR [SYS/TEMP] password database"}, "SYS/TEMP", true, ""},
		"SYS/PERM":          {map[string]string{"PASS": "-ERR [SYS/PERM] no home"}, "SYS/PERM", false, "provider"},
		"no code":           {map[string]string{"PASS": "-ERR [not closed"}, "", false, "user name or password"},
		"not POP3":          {map[string]string{"greeting": "220 smtp.example ESMTP"}, "", true, "port"},
		"empty line":        {map[string]string{"PASS": ""}, "", true, "port"},
	} {
		t.Run(name, func(t *testing.T) {
			d, a := &maildrop{mails: three(), answers: test.answers}, newArchive()
			if name == "empty line" {
				d.answers["PASS"] = "\r\n+OK" // go-pop3 would take it for success
			}
			_, err := d.collect(t, plain, a)
			var e *Error
			if !errors.As(err, &e) || e.Code != test.code || e.Temporary != test.temporary || !strings.Contains(e.Hint, test.hint) || (test.hint == "") != (e.Hint == "") {
				t.Errorf("%+v", e)
			}
			if len(a.texts) > 0 {
				t.Error("messages came in all the same")
			}
		})
	}
}

// RFC 1939 §7 in the hands of careless servers.
func TestIdentity(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, uidls := range map[string][]string{
		"good": {"1", "2", "3"}, "long": {long + "1", long + "2", long + "3"},
		"too long": {long + long + "1", long + long + "2", long + long + "3"},
		"missing":  {"1", "", "3"}, "none": {"", "", ""}, "same": {"1", "1", "1"}, "two the same": {"1", "2", "1"},
		"blank": {"a b", "a c", "a d"}, "8-bit": {"\xe4", "\xf6", "\xfc"}, "our own": {"sha256:1", "a sha256:", "sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			opt := plain
			opt.LeaveDays, opt.Now = 2, func() time.Time { return now }
			d, a := &maildrop{mails: three()}, newArchive()
			a.now = opt.Now
			for i := range d.mails {
				d.mails[i].uidl = uidls[i]
			}
			for day := range 4 {
				report, err := d.collect(t, opt, a)
				if err != nil || len(report.Problems) > 0 {
					t.Fatal(err, report.Problems)
				}
				if !a.holds(three()) {
					t.Fatalf("day %d: %q", day, a.texts)
				}
				now, opt.Emptied = now.Add(24*time.Hour), report.Emptied
			}
			if len(d.mails) != 0 || len(a.seen) != 0 {
				t.Errorf("%d left, seen %v", len(d.mails), a.seen)
			}
		})
	}
}

// A UIDL once seen with several messages stays suspect when only one of them is left.
func TestSharedUIDLAfterwards(t *testing.T) {
	d, a := &maildrop{mails: three(), answers: map[string]string{"DELE 2": "-ERR no", "DELE 3": "-ERR no"}}, newArchive()
	d.mails[0].uidl, d.mails[1].uidl, d.mails[2].uidl = "same", "same", "same"
	_, _ = d.collect(t, plain, a)
	d.answers = map[string]string{"DELE 2": "-ERR no"}
	for range 3 {
		if report, err := d.collect(t, plain, a); err != nil || report.Collected != 0 || !a.holds(three()) {
			t.Fatalf("%+v, %v, %q", report, err, a.texts)
		}
		d.answers = nil
	}
	if len(d.mails) != 0 || len(a.seen) != 0 {
		t.Errorf("%d left, seen %v", len(d.mails), a.seen)
	}
}

// A second message with the UIDL of one already saved must not be deleted unseen; that the first may come twice is the price.
func TestUIDLSharedLater(t *testing.T) {
	d, a := &maildrop{mails: three()[:1]}, newArchive()
	opt := plain
	opt.LeaveDays = 9
	_, _ = d.collect(t, opt, a)
	d.mails = append(d.mails, mail{"u1", "Subject: other\r\n"})
	for range 2 {
		if _, err := d.collect(t, plain, a); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.mails) != 0 || !slices.Contains(a.texts, "Subject: other\r\n") || len(a.texts) > 3 {
		t.Errorf("%d left, %q", len(d.mails), a.texts)
	}
}

func TestUIDLRefused(t *testing.T) {
	capa := "+OK\r\nTOP\r\nuidl\r\n."
	for name, test := range map[string]struct {
		answers map[string]string
		ok      bool
	}{
		"unknown":          {map[string]string{"UIDL": "-ERR what?"}, true},
		"unknown, by CAPA": {map[string]string{"UIDL": "-ERR what?", "CAPA": "+OK\r\nTOP\r\n."}, true},
		"fails":            {map[string]string{"UIDL": "-ERR index", "CAPA": capa}, false},
		"fails, with code": {map[string]string{"UIDL": "-ERR [SYS/TEMP] index"}, false},
	} {
		d, a := &maildrop{mails: three(), answers: test.answers}, newArchive()
		a.seen["u1"] = Seen{At: time.Now()} // must not come again because the server has a bad day
		_, err := d.collect(t, plain, a)
		if test.ok && (err != nil || !a.holds(three()) || len(d.mails) > 0) {
			t.Errorf("%s: %v, %q", name, err, a.texts)
		}
		if !test.ok && (err == nil || len(a.texts) > 0 || len(d.mails) != 3) {
			t.Errorf("%s: %v, %q", name, err, a.texts)
		}
	}
}

func TestStoreFails(t *testing.T) {
	d := &maildrop{mails: three()}
	broken := errors.New("database")
	if _, err := d.collect(t, plain, blind{newArchive(), broken}); !errors.Is(err, broken) || len(d.commands) != 0 {
		t.Error(err, d.commands)
	}
}

type blind struct {
	*archive
	err error
}

func (b blind) Seen() (map[string]Seen, error) { return nil, b.err }

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, begun := &maildrop{mails: three(), answers: map[string]string{"RETR": "+OK\r\nhalf a"}}, time.Now()
		_, err := d.collect(t, plain, newArchive())
		var e *Error
		if !errors.As(err, &e) || !e.Temporary || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 90*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a := &maildrop{mails: three(), answers: map[string]string{"RETR 2": "MUTE", "RETR 1": "MUTE"}}, newArchive()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the units are used up"))
		defer cancel()
		begun := time.Now()
		_, report, err := d.session(ctx, plain, a, uncut, uncut)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "units") || report.Listed != 3 || time.Since(begun) != time.Minute {
			t.Errorf("%+v, %v after %v", report, err, time.Since(begun))
		}
	})
}

func TestConfiguration(t *testing.T) {
	for _, opt := range []Options{{}, {TLS: "stls"}, {TLS: TLSImplicit}, {TLS: TLSStart}} {
		near, far := net.Pipe()
		var e *Error
		if _, err := Collect(t.Context(), near, opt, newArchive()); !errors.As(err, &e) || e.Temporary {
			t.Errorf("%+v: %v", opt, err)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection was left open: %v", err)
		}
	}
}
