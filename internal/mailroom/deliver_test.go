package mailroom

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"outpost/internal/maildir"
	"outpost/queue"
)

// What is in the mailbox, as a program that knows Maildirs reads it.
func TestDelivered(t *testing.T) {
	tests := []struct {
		name string
		m    queue.Message
		body string
		want string
	}{
		{"submitted", queue.Message{Origin: queue.Submitted, From: "x@b.example"}, letter,
			"Return-Path: <x@b.example>\nDelivered-To: ann@gate.office.example\nFrom: a@b.example\nSubject: x\n\nHello\nyou\n"},
		{"null sender", queue.Message{Origin: queue.Submitted}, "\r\n",
			"Return-Path: <>\nDelivered-To: ann@gate.office.example\n\n"},
		{"collected, path known to the provider", queue.Message{Origin: queue.Collected, Box: "b", From: "x@y.example"}, "return-path: <z@b.example>\r\n\r\n",
			"Delivered-To: ann@gate.office.example\nreturn-path: <z@b.example>\n\n"},
		{"collected, path known to us", queue.Message{Origin: queue.Collected, Box: "b", From: "x@y.example"}, "A: b\r\n\r\n",
			"Return-Path: <x@y.example>\nDelivered-To: ann@gate.office.example\nA: b\n\n"},
		{"collected, path unknown", queue.Message{Origin: queue.Collected, Box: "b"}, "A: b\r\n\r\n",
			"Delivered-To: ann@gate.office.example\nA: b\n\n"},
		{"odd octets", queue.Message{Origin: queue.Collected, Box: "b"}, "A: b\r\n\r\n\x00\xff\rx\n\r\r\nend\r",
			"Delivered-To: ann@gate.office.example\nA: b\n\n\x00\xff\rx\n\r\r\nend\r"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := open(t, staff())
			defer o.stop()
			tt.m.To = recipients([]string{"ann"})
			m := o.addMessage(tt.m, tt.body)
			if err := o.room.Deliver(t.Context(), m.ID); err != nil {
				t.Fatal(err)
			}
			o.wantFiles("ann", 1)
			o.wantEmptyQueue()
			got, key := o.read("ann")
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			crlf := len(strings.ReplaceAll(strings.ReplaceAll(got, "\r\n", "\n"), "\n", "\r\n"))
			if name := fmt.Sprintf("%d.%s-", m.Received.Unix(), m.ID); !strings.HasPrefix(key, name) {
				t.Errorf("name %s does not begin with %s", key, name)
			}
			if sizes := fmt.Sprintf(".gate.office.example,S=%d,W=%d", len(got), crlf); !strings.HasSuffix(key, sizes) {
				t.Errorf("name %s does not end in %s", key, sizes)
			}
		})
	}
}

// Only the office's own programs may read mail.
func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such modes on Windows")
	}
	o := open(t, staff())
	defer o.stop()
	if err := o.room.Deliver(t.Context(), o.add("ann").ID); err != nil {
		t.Fatal(err)
	}
	err := filepath.Walk(o.opt.MailDir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A user gets his copy, those who are gone are kept for, and what goes out stays.
func TestRecipients(t *testing.T) {
	opt := staff()
	written := 0
	opt.Step = func(s string) error {
		if s == "write" {
			written++
		}
		return nil
	}
	o := open(t, opt)
	defer o.stop()
	to := append(recipients([]string{"ann", "left-first", "left-last-year"}), queue.Recipient{Addr: "x@far.example", Where: queue.Remote, State: queue.Waiting})
	m := o.addMessage(queue.Message{Origin: queue.Submitted, To: to}, letter)
	if err := o.room.Deliver(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	o.wantFiles("ann", 1)
	o.wantFiles("bob", 0)
	o.wantFiles("left-last-year", 0)
	// Who is gone has his mail in one mailbox, where one copy will do; it isn't even
	// written twice, as the first may have been moved by a reader already.
	o.wantFiles("unrouted", 1)
	if written != 2 {
		t.Errorf("%d files were written", written)
	}
	row, err := o.q.Get(m.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []queue.State{queue.Sent, queue.Sent, queue.Sent, queue.Waiting} {
		if row.To[i].State != want {
			t.Errorf("%s is %s, want %s", row.To[i].Addr, row.To[i].State, want)
		}
	}
	if err := o.room.Deliver(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	o.wantFiles("ann", 1)
}

// Killed before any step, of the first or of the second recipient, and started again:
// each has the message once, whole.
func TestKilled(t *testing.T) {
	for _, step := range []string{"create", "write", "fsync", "rename", "dirsync", "commit"} {
		for n := 1; n <= 2; n++ {
			if step == "commit" && n == 2 {
				continue // There is one for all.
			}
			t.Run(fmt.Sprintf("%s %d", step, n), func(t *testing.T) {
				opt := staff()
				opt.Step = dieAt(step, n)
				o := open(t, opt)
				m := o.add("ann", "bob")
				if !o.deliverAndDie(m.ID) {
					t.Fatal("it was not killed")
				}
				for range 2 { // The second start has nothing to do.
					o.stop()
					o.opt.Step = nil
					o.start()
					if err := o.room.Deliver(t.Context(), m.ID); err != nil {
						t.Fatal(err)
					}
				}
				o.wantFiles("ann", 1)
				o.wantFiles("bob", 1)
				o.wantEmptyQueue()
				for _, user := range []string{"ann", "bob"} {
					if got, _ := o.read(user); !strings.HasSuffix(got, "Hello\nyou\n") || !strings.HasPrefix(got, "Return-Path:") {
						t.Errorf("%s has %q", user, got)
					}
				}
				o.stop()
			})
		}
	}
}

// Between the kill and the next start the reader does what readers do.
func TestKilledAndRead(t *testing.T) {
	tests := map[string]struct {
		to   string // where the message goes, with %s for its name
		host string // the name of the host at the next start
	}{
		"read":           {to: "cur/%s:2,"},
		"read and kept":  {to: "cur/%s:2,FRS"},
		"filed":          {to: ".Archive/cur/%s:2,S"},
		"filed unread":   {to: ".Archive/new/%s"},
		"sizes taken":    {to: "cur/%s:2,S"},
		"host was named": {to: "new/%s", host: "other.example"},
	}
	if runtime.GOOS == "windows" {
		t.Skip("no colon in names on Windows")
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opt := staff()
			opt.Step = dieAt("commit", 1)
			o := open(t, opt)
			m := o.add("ann")
			if !o.deliverAndDie(m.ID) {
				t.Fatal("it was not killed")
			}
			o.stop()
			root := filepath.Join(o.opt.MailDir, "ann")
			file := o.files("ann")[0]
			base := filepath.Base(file)
			if name == "sizes taken" {
				base, _, _ = strings.Cut(base, ",")
			}
			to := filepath.Join(root, fmt.Sprintf(tt.to, base))
			mustMkdir(t, filepath.Dir(to))
			mustRename(t, filepath.Join(root, file), to)
			mustWrite(t, filepath.Join(root, ".stray-file"))
			o.opt.Step = nil
			if tt.host != "" {
				o.opt.Hostname = tt.host
			}
			o.start()
			defer o.stop()
			if err := o.room.Deliver(t.Context(), m.ID); err != nil {
				t.Fatal(err)
			}
			o.wantFiles("ann", 1)
			o.wantEmptyQueue()
		})
	}
}

// A failure after the rename, without a restart, is looked into as well; also when
// another recipient was served in between.
func TestFailedLate(t *testing.T) {
	opt := staff()
	fail := map[string]int{"dirsync": 1, "commit": 1}
	opt.Step = func(s string) error {
		if fail[s] > 0 {
			fail[s]--
			return errors.New("I/O error")
		}
		return nil
	}
	o := open(t, opt)
	defer o.stop()
	m := o.add("ann", "bob")
	// ann's file is there but its folder not synced; bob's too, and nothing is recorded.
	if err := o.room.Deliver(t.Context(), m.ID); err == nil || !strings.Contains(err.Error(), "I/O error") {
		t.Errorf("Deliver: %v", err)
	}
	o.room.worked(messageKey(m.ID))
	o.read("ann") // Moves to cur/, so that another delivery would not go over the first.
	o.read("bob")
	// ann waits for her time; bob is found.
	if err := o.room.Deliver(t.Context(), m.ID); err != nil {
		t.Error(err)
	}
	o.room.worked("ann")
	if err := o.room.Deliver(t.Context(), m.ID); err != nil {
		t.Error(err)
	}
	o.wantFiles("ann", 1)
	o.wantFiles("bob", 1)
	o.wantEmptyQueue()
	if len(o.room.suspect) != 0 || len(o.room.working) != 0 || len(o.room.backoff) != 0 {
		t.Errorf("remembered: %v %v %v", o.room.suspect, o.room.working, o.room.backoff)
	}
}

// Everybody delivers everything at once: each has each message once.
func TestConcurrent(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	var ids []queue.Message
	for range 10 {
		ids = append(ids, o.add("ann", "bob"))
	}
	var wg sync.WaitGroup
	for range 4 {
		for _, m := range ids {
			wg.Go(func() {
				if err := o.room.Deliver(t.Context(), m.ID); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	o.wantFiles("ann", 10)
	o.wantFiles("bob", 10)
	o.wantEmptyQueue()
}

// One user's broken Maildir is his own affair. The queue knows why.
func TestBroken(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	mustMkdir(t, o.opt.MailDir, "bob", "tmp")
	mustWrite(t, filepath.Join(o.opt.MailDir, "bob", "new"))
	m := o.add("bob", "ann")
	if err := o.room.Deliver(t.Context(), m.ID); err == nil {
		t.Error("nothing was said")
	}
	o.wantFiles("ann", 1)
	row, err := o.q.Get(m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if bob := row.To[0]; bob.State != queue.Waiting || bob.Attempts != 1 || bob.At.IsZero() || !strings.Contains(bob.Reply, "deliver to bob") {
		t.Errorf("bob: %+v", bob)
	}
	if row.To[1].State != queue.Sent {
		t.Errorf("ann: %+v", row.To[1])
	}
}

// A missing part of a mailbox is made again.
func TestMissingNew(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	mustMkdir(t, o.opt.MailDir, "ann", "tmp")
	if err := o.room.Deliver(t.Context(), o.add("ann").ID); err != nil {
		t.Fatal(err)
	}
	o.wantFiles("ann", 1)
}

// A body that is gone is a matter for a person: held, not tried again, not dropped.
func TestDamaged(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	m := o.add("ann")
	if err := os.Truncate(filepath.Join(o.dir, "spool", string(m.ID)), 3); err != nil {
		t.Fatal(err)
	}
	if err := o.room.Deliver(t.Context(), m.ID); !errors.Is(err, queue.ErrCorrupt) {
		t.Errorf("Deliver: %v", err)
	}
	o.wantFiles("ann", 0)
	row, err := o.q.Get(m.ID)
	if err != nil || row.To[0].State != queue.Held || row.To[0].Reply == "" {
		t.Errorf("%+v, %v", row, err)
	}
}

// What fails to be written in the middle leaves nothing.
func TestHalfWritten(t *testing.T) {
	for _, step := range []string{"create", "write", "fsync", "rename"} {
		opt := staff()
		opt.Step = func(s string) error {
			if s == step {
				return fmt.Errorf("write tmp: %w", syscall.ENOSPC)
			}
			return nil
		}
		o := open(t, opt)
		if err := o.room.Deliver(t.Context(), o.add("ann").ID); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", step, err)
		}
		o.wantFiles("ann", 0)
		o.stop()
	}
}

// A message that is gone, or a queue that is closed.
func TestNothingToDeliver(t *testing.T) {
	o := open(t, staff())
	m := o.add("ann")
	if err := o.q.Remove(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if err := o.room.Deliver(t.Context(), m.ID); err != nil {
		t.Error(err)
	}
	o.stop()
	if err := o.room.Deliver(context.Background(), m.ID); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("with a closed queue: %v", err)
	}
}

// A folder that a rule makes is on the list of those that mail programs show, once there is one.
func TestNewFolderIsShown(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	mailbox := maildir.Dir{Root: filepath.Join(o.opt.MailDir, "ann")}
	for _, c := range []struct{ place, want string }{
		{"ann/First", ""}, {"ann", ""}, {"ann/Second", "Sent Second"}, {"ann/Second", "Sent Second"}, {"ann/First", "Sent Second"},
	} {
		if err := o.room.Deliver(t.Context(), o.add(c.place).ID); err != nil {
			t.Fatal(err)
		}
		list, err := mailbox.Subscriptions()
		if got := strings.Join(list, " "); err != nil || got != c.want {
			t.Errorf("after mail for %s: %q, %v; want %q", c.place, got, err, c.want)
		}
		if c.place == "ann" { // ann's mail program makes its folders
			if err := mailbox.Subscribe("Sent", true); err != nil {
				t.Fatal(err)
			}
		}
	}
}
