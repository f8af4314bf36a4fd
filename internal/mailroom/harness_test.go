package mailroom

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-maildir"

	"outpost/internal/route"
	"outpost/queue"
	"outpost/spool"
)

// office is a mailroom with a real queue and real Maildirs.
type office struct {
	t    *testing.T
	dir  string
	q    *queue.Queue
	room *Mailroom
	opt  Options
}

// book is who is who in most tests.
func book() route.Options {
	return route.Options{
		Hostname: "gate.office.example",
		Domains:  []string{"office.example", "bücher.example"},
		Users: []route.User{
			{Name: "ann", Addresses: []string{"Ann.Lee", "ann@provider.example", "sales@office.example"}},
			{Name: "bob", Addresses: []string{"sales@office.example"}},
		},
		Boxes: []route.Box{{Name: "ann-box", To: []string{"ann"}}, {Name: "both", To: []string{"ann", "bob", "ann"}}},
	}
}

// staff are the options of most tests.
func staff() Options { return with(book()) }

// with are options for an office of one's own.
func with(b route.Options) Options {
	table, err := route.New(b)
	if err != nil {
		panic(err)
	}
	return Options{Table: func() *route.Table { return table }, Hostname: "gate.office.example"}
}

// open starts an office in a new folder.
func open(t *testing.T, opt Options) *office {
	t.Helper()
	o := &office{t: t, dir: t.TempDir(), opt: opt}
	o.opt.MailDir = filepath.Join(o.dir, "mail")
	o.start()
	return o
}

// start opens queue and mailroom, as a start of the program does.
func (o *office) start() {
	o.t.Helper()
	q, err := queue.Open(o.dir, queue.Options{})
	if err != nil {
		o.t.Fatal(err)
	}
	o.q, o.opt.Queue = q, q
	if o.room, err = New(o.opt); err != nil {
		o.t.Fatal(err)
	}
}

// stop closes the queue.
func (o *office) stop() {
	o.t.Helper()
	if err := o.q.Close(); err != nil {
		o.t.Fatal(err)
	}
}

const letter = "From: a@b.example\r\nSubject: x\r\n\r\nHello\r\nyou\r\n"

// add puts a message for some mailboxes into the queue.
func (o *office) add(names ...string) queue.Message {
	o.t.Helper()
	return o.addMessage(queue.Message{Origin: queue.Submitted, From: "a@b.example", To: recipients(names)}, letter)
}

func (o *office) addMessage(m queue.Message, body string) queue.Message {
	o.t.Helper()
	m, err := o.q.Add(context.Background(), m, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	return m
}

// files lists what is in a user's mailbox, in any folder, relative to it.
func (o *office) files(user string) []string {
	o.t.Helper()
	var list []string
	root := filepath.Join(o.opt.MailDir, user)
	for _, pattern := range []string{"new/*", "cur/*", ".*/new/*", ".*/cur/*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			o.t.Fatal(err)
		}
		for _, f := range found {
			rel, _ := filepath.Rel(root, f)
			list = append(list, rel)
		}
	}
	return list
}

// wantFiles checks how many messages a user has, and that nothing is left in tmp/.
func (o *office) wantFiles(user string, n int) {
	o.t.Helper()
	if got := o.files(user); len(got) != n {
		o.t.Errorf("%s has %q, want %d messages", user, got, n)
	}
	if left, _ := filepath.Glob(filepath.Join(o.opt.MailDir, user, "tmp", "*")); len(left) != 0 {
		o.t.Errorf("left in tmp/: %q", left)
	}
}

// wantEmptyQueue checks that nobody waits any more.
func (o *office) wantEmptyQueue() {
	o.t.Helper()
	if list, err := o.q.List(); err != nil || len(list) != 0 {
		o.t.Errorf("left in the queue: %+v, %v", list, err)
	}
}

// read gives a user's only new message, read and moved to cur/ by go-maildir, which
// knows nothing of how it came there.
func (o *office) read(user string) (content, key string) {
	o.t.Helper()
	msgs, err := maildir.Dir(filepath.Join(o.opt.MailDir, user)).Unseen()
	if err != nil || len(msgs) != 1 {
		o.t.Fatalf("%s: %d new messages, %v", user, len(msgs), err)
	}
	r, err := msgs[0].Open()
	if err != nil {
		o.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(b), msgs[0].Key()
}

// killed is what a Step panics with to stand for kill -9: nothing after it runs but
// what the operating system would do too.
type killed struct{}

// dieAt makes a Step that kills at the n-th call (from 1) of a step.
func dieAt(step string, n int) func(string) error {
	return func(s string) error {
		if s == step {
			if n--; n == 0 {
				panic(killed{})
			}
		}
		return nil
	}
}

// deliverAndDie runs Deliver until it is killed; it reports whether it was.
func (o *office) deliverAndDie(id spool.ID) (dead bool) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case killed:
			dead = true
		default:
			panic(r)
		}
	}()
	_ = o.room.Deliver(context.Background(), id)
	return false
}

// mustMkdir and mustWrite prepare what is on the disk already.
func mustMkdir(t *testing.T, path ...string) string {
	t.Helper()
	dir := filepath.Join(path...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustWrite(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustRename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
