package notice

import (
	"context"
	"errors"
	"io"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/queue"
)

// desk is a Notifier with a real queue, in an office of ann, ben and the manager cleo.
type desk struct {
	*Notifier
	t   *testing.T
	q   *queue.Queue
	dir string
	now time.Time
}

func newDesk(t *testing.T, change func(*Options)) *desk {
	t.Helper()
	dir := t.TempDir()
	q, err := queue.Open(dir, queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	d := &desk{t: t, q: q, dir: dir, now: time.Now()}
	opt := Options{
		Queue: q, Hostname: "gw.clinic.example", Postmaster: "post", Manager: "cleo", Smarthost: "smtp.provider.example",
		Home: func(user, from string) string {
			name, _, _ := strings.Cut(from, "@")
			if user != "" {
				name = user
			}
			if slices.Contains([]string{"ann", "ben", "cleo"}, name) {
				return name
			}
			return ""
		},
		Address: func(place string) string {
			if strings.Contains(place, "@") {
				return place
			}
			return place + "@clinic.example"
		},
		Now: func() time.Time { return d.now },
	}
	if change != nil {
		change(&opt)
	}
	d.Notifier = New(opt)
	return d
}

const letterText = "From: Ann <ann@clinic.example>\r\nTo: x@far.example\r\nSubject: The harvest\r\nMessage-ID: <1@clinic.example>\r\n\r\nHello\r\n"

// remote is a recipient outside.
func remote(addr string, state queue.State, reply string) queue.Recipient {
	return queue.Recipient{Addr: addr, Where: queue.Remote, State: state, Reply: reply}
}

// add puts a message of ann's into the queue.
func (d *desk) add(to ...queue.Recipient) queue.Message {
	d.t.Helper()
	return d.addMessage(queue.Message{Origin: queue.Submitted, From: "ann@clinic.example", To: to})
}

func (d *desk) addMessage(m queue.Message) queue.Message {
	d.t.Helper()
	m, err := d.q.Add(d.t.Context(), m, strings.NewReader(letterText))
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

// tell is Tell, which must not fail, and gives the notices in the queue.
func (d *desk) tell() []queue.Message {
	d.t.Helper()
	if err := d.Tell(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	return d.notices()
}

func (d *desk) notices() (list []queue.Message) {
	d.t.Helper()
	all, err := d.q.List()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range all {
		if m.Origin == queue.Notice {
			list = append(list, m)
		}
	}
	return list
}

// text is a message as it is in the queue.
func (d *desk) text(m queue.Message) string {
	d.t.Helper()
	body, err := d.q.Body(m.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// plain is the text of a note as a person reads it.
func (d *desk) plain(m queue.Message) (header mail.Header, text string) {
	d.t.Helper()
	parsed, err := mail.ReadMessage(strings.NewReader(d.text(m)))
	if err != nil {
		d.t.Fatal(err)
	}
	decoded, err := io.ReadAll(quotedprintable.NewReader(parsed.Body))
	if err != nil {
		d.t.Fatal(err)
	}
	return parsed.Header, strings.ReplaceAll(string(decoded), "\r\n", "\n")
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

// One report for all that failed of a message; then the message is gone, and nobody is told twice.
func TestFailed(t *testing.T) {
	d := newDesk(t, nil)
	m := d.add(remote("x@far.example", queue.Failed, "550 5.1.1 no such user"), remote("y@far.example", queue.Failed, "552 too big"),
		remote("z@far.example", queue.Waiting, ""))
	notices := d.tell()
	if len(notices) != 1 || notices[0].To[0].Addr != "ann" || notices[0].To[0].Where != queue.Local || notices[0].From != "" {
		t.Fatalf("%+v", notices)
	}
	contains(t, d.text(notices[0]), "multipart/report", "x@far.example", "y@far.example", "5.1.1", "no such user", "The harvest", "To: <ann@clinic.example>")
	if strings.Contains(d.text(notices[0]), "z@far.example") {
		t.Error("it tells of somebody whose mail waits")
	}
	if again := d.tell(); len(again) != 1 {
		t.Errorf("told again: %d", len(again))
	}
	row, err := d.q.Get(m.ID)
	if err != nil || row.To[0].State != queue.Returned || row.To[2].State != queue.Waiting {
		t.Fatalf("%+v, %v", row, err)
	}
	// The last one is served: nothing is left.
	err = d.q.Update(t.Context(), m.ID, func(m *queue.Message) error { m.To[2].State = queue.Sent; return nil })
	if _, gone := d.q.Get(m.ID); err != nil || !errors.Is(gone, queue.ErrNotFound) {
		t.Errorf("%v, %v", err, gone)
	}
}

// Who is told, and who is not.
func TestWhom(t *testing.T) {
	failed := remote("x@far.example", queue.Failed, "550 no")
	for name, c := range map[string]struct {
		m    queue.Message
		want string // place; "" = nobody
	}{
		"the sender":          {queue.Message{Origin: queue.Submitted, From: "ben@clinic.example"}, "ben"},
		"who has signed in":   {queue.Message{Origin: queue.Submitted, From: "shop@provider.example", User: "ann"}, "ann"},
		"a stranger's":        {queue.Message{Origin: queue.Submitted, From: "x@y.example"}, "post"},
		"the null sender's":   {queue.Message{Origin: queue.Submitted, User: "ann"}, "post"},
		"forwarded by a rule": {queue.Message{Origin: queue.Collected, Box: "b", From: "ann@clinic.example"}, "post"},
		"our own":             {queue.Message{Origin: queue.Notice}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil)
			c.m.To = []queue.Recipient{failed}
			if c.m.Origin == queue.Collected {
				c.m.To[0].By = "rule"
			}
			if c.m.Origin == queue.Notice {
				c.m.To[0] = queue.Recipient{Addr: "exchange:post@x", Where: queue.Local, State: queue.Failed}
			}
			m := d.addMessage(c.m)
			notices := d.tell()
			if c.want == "" {
				for _, n := range notices {
					t.Errorf("a notice about a notice: %+v", n)
				}
			} else if len(notices) != 1 || notices[0].To[0].Addr != c.want {
				t.Fatalf("%+v, want one for %q", notices, c.want)
			}
			if len(notices) == 1 && strings.Contains(d.text(notices[0]), "Your message was") != (c.want != "post") {
				t.Errorf("whose message was it? %s", d.text(notices[0]))
			}
			if _, err := d.q.Get(m.ID); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("left in the queue: %v", err)
			}
		})
	}
}

// Collected mail that no mailbox takes stays in the queue: it is the only copy.
func TestCollectedIsKept(t *testing.T) {
	d := newDesk(t, nil)
	m := d.addMessage(queue.Message{Origin: queue.Collected, To: []queue.Recipient{{Addr: "exchange:post@x", Where: queue.Local, State: queue.Failed, Reply: "550 no"}}})
	if notices := d.tell(); len(notices) != 0 {
		t.Errorf("%+v", notices)
	}
	if row, err := d.q.Get(m.ID); err != nil || row.To[0].State != queue.Failed {
		t.Errorf("%+v, %v", row, err)
	}
}

// Words are put into the mouth of who said them: the smarthost, a server of the office, or the gateway.
func TestWhoSays(t *testing.T) {
	for addr, want := range map[string]string{"exchange:bob@clinic.example": "In the words of the mail server exchange:", "bob": "In the words of this gateway:"} {
		d := newDesk(t, nil)
		d.add(queue.Recipient{Addr: addr, Where: queue.Local, State: queue.Failed, Reply: "550 5.1.1 no such user", Attempts: 1})
		notices := d.tell()
		if len(notices) != 1 || !strings.Contains(d.text(notices[0]), want) {
			t.Errorf("%s: %+v", addr, notices)
		}
	}
}

// RFC 3461 §4.1: what the sender wants to know.
func TestNotify(t *testing.T) {
	for notify, want := range map[string]string{
		"": "failed waits", "NEVER": "", "FAILURE": "failed", "DELAY": "waits", "SUCCESS": "delivered relayed", "SUCCESS,FAILURE,DELAY": "failed waits delivered relayed",
	} {
		d := newDesk(t, func(o *Options) { o.DelayAfter = time.Hour })
		d.now = d.now.Add(2 * time.Hour)
		for _, r := range []queue.Recipient{
			remote("x@far.example", queue.Failed, "550 no"), remote("y@far.example", queue.Waiting, ""), remote("z@far.example", queue.Sent, ""),
			{Addr: "ben", Where: queue.Local, State: queue.Sent},
		} {
			r.Notify = notify
			r.Tell = r.State == queue.Sent && r.Wants("SUCCESS")
			if r.State == queue.Sent && !r.Tell {
				continue // such a row isn't there any more
			}
			d.add(r)
		}
		var got []string
		for _, n := range d.tell() {
			text := d.text(n)
			for word, sign := range map[string]string{"failed": "Action: failed", "waits": "Action: delayed", "delivered": "Action: delivered", "relayed": "Action: relayed"} {
				if strings.Contains(text, sign) {
					got = append(got, word)
				}
			}
		}
		for _, word := range strings.Fields(want) {
			if !strings.Contains(strings.Join(got, " "), word) {
				t.Errorf("NOTIFY=%s: %q is missing in %q", notify, word, got)
			}
		}
		if len(got) != len(strings.Fields(want)) {
			t.Errorf("NOTIFY=%s: %q, want %q", notify, got, want)
		}
	}
}

// A smarthost that can't be reached leaves no attempt on a message: the calls count, and what they met is told.
func TestWaitsForASmarthost(t *testing.T) {
	d := newDesk(t, func(o *Options) { o.DelayCalls, o.GiveUp, o.GiveUpCalls = 3, 5*24*time.Hour, 4 })
	d.add(remote("x@far.example", queue.Waiting, ""))
	for n := range 4 {
		if got := len(d.tell()); got != n/3 {
			t.Errorf("%d notices after %d calls", got, n)
		}
		d.now = d.now.Add(time.Minute)
		call, err := d.q.BeginCall(t.Context(), queue.Call{Begun: d.now})
		if err != nil {
			t.Fatal(err)
		}
		call.Connected, call.Ended = d.now, d.now
		call.Problems = []string{"box ann: nobody there", "smarthost smtp.provider.example:465: connection refused"}
		if err := d.q.SaveCall(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	notices := d.tell()
	contains(t, d.text(notices[0]), "Action: delayed", "connection refused")
	d.now = d.now.Add(6 * 24 * time.Hour)
	if notices = d.tell(); len(notices) != 2 {
		t.Fatalf("%d notices in the end", len(notices))
	}
	contains(t, d.text(notices[1]), "Action: failed", "connection refused")
}

// Stopped before any step, a report is there once in the end, and its message settled with it.
func TestTellKilled(t *testing.T) {
	for _, step := range []string{"create", "write", "fsync", "rename", "dirsync", "commit"} {
		dir, die := t.TempDir(), false
		q, err := queue.Open(dir, queue.Options{Step: func(s string) error {
			if die && s == step {
				return errors.New("power cut")
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		opt := newDesk(t, nil).opt
		opt.Queue = q
		m, err := q.Add(t.Context(), queue.Message{Origin: queue.Submitted, From: "ann@clinic.example", To: []queue.Recipient{remote("x@far.example", queue.Failed, "550 no")}}, strings.NewReader(letterText))
		if err != nil {
			t.Fatal(err)
		}
		die = true
		if err := New(opt).Tell(t.Context()); err == nil {
			t.Errorf("%s: no error", step)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if q, err = queue.Open(dir, queue.Options{}); err != nil {
			t.Fatal(err)
		}
		opt.Queue = q
		if err := New(opt).Tell(t.Context()); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		list, err := q.List()
		if err != nil || len(list) != 1 || list[0].Origin != queue.Notice || list[0].ID == m.ID {
			t.Errorf("%s: %+v, %v", step, list, err)
		}
		_ = q.Close()
	}
}

// Run tells at a wake, after a while by itself, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		wake, done := make(chan struct{}, 1), make(chan struct{})
		go func() { d.Run(ctx, wake); close(done) }()
		synctest.Wait()
		for n, rouse := range []func(){func() { wake <- struct{}{} }, func() { time.Sleep(round) }, func() { close(wake); time.Sleep(round) }} {
			d.add(remote("x@far.example", queue.Failed, "550 no"))
			rouse()
			synctest.Wait()
			if got := len(d.notices()); got != n+1 {
				t.Errorf("%d notices, want %d", got, n+1)
			}
		}
		cancel()
		<-done
		_ = d.q.Close()
	})
}

// A message on which the writing of its report falls over costs its own report, and no other's.
func TestPanicInReport(t *testing.T) {
	d := newDesk(t, func(opt *Options) {
		address := opt.Address
		opt.Address = func(place string) string {
			if place == "nobody@clinic.example" {
				panic("odd mail")
			}
			return address(place)
		}
	})
	odd := queue.Recipient{Addr: "nobody@clinic.example", Where: queue.Local, State: queue.Failed, Reply: "550 5.1.1 nobody"}
	d.add(odd)
	d.add(remote("x@far.example", queue.Failed, "550 no"))
	if err := d.Tell(t.Context()); err == nil || !strings.Contains(err.Error(), "odd mail") {
		t.Error(err)
	}
	if list := d.notices(); len(list) != 1 {
		t.Errorf("%d notices", len(list))
	}
}
