package mailroom

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"outpost/internal/lmtp"
	"outpost/internal/route"
	"outpost/queue"
)

// running runs the mailroom in a bubble until the function returned is called.
func (o *office) running(wake <-chan struct{}) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.room.Run(ctx, wake)
	}()
	return func() {
		cancel()
		<-done
		o.stop()
	}
}

// What waits at the start is delivered, then what comes with a wake. A closed wake does
// not spin.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, staff())
		o.add("ann")
		wake := make(chan struct{}, 1)
		stop := o.running(wake)
		synctest.Wait()
		o.wantFiles("ann", 1)
		for range 10 {
			o.add("ann", "bob")
		}
		synctest.Wait()
		o.wantFiles("ann", 1)
		wake <- struct{}{}
		synctest.Wait()
		o.wantFiles("ann", 11)
		o.wantFiles("bob", 10)
		o.wantEmptyQueue()
		close(wake)
		synctest.Wait()
		o.add("bob")
		time.Sleep(idleRound + time.Second)
		synctest.Wait()
		o.wantFiles("bob", 11)
		stop()
	})
}

// A full disk is tried again with growing pauses, without any wake, until there is
// room. Others' mail isn't held up, and the one who fails is not tried for each of his
// messages.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := staff()
		var full atomic.Bool
		var tries atomic.Int32
		full.Store(true)
		opt.Step = func(s string) error {
			if s == "write" && full.Load() {
				tries.Add(1)
				return syscall.ENOSPC
			}
			return nil
		}
		o := open(t, opt)
		for range 20 {
			o.add("ann")
		}
		wake := make(chan struct{}, 1)
		stop := o.running(wake)
		synctest.Wait()
		if n := tries.Load(); n == 0 || n > workers {
			t.Errorf("%d tries at first", n)
		}
		start := tries.Load()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := tries.Load() - start; n < 12 || n > workers*25 {
			t.Errorf("%d tries in an hour", n)
		}
		full.Store(false)
		time.Sleep(maxDelay + time.Second)
		synctest.Wait()
		o.wantFiles("ann", 20)
		o.wantEmptyQueue()
		stop()
	})
}

// A pause that nobody waits for ends, and is not run after.
func TestRetryGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := staff()
		opt.Step = func(string) error { return errors.New("broken") }
		o := open(t, opt)
		m := o.add("ann")
		wake := make(chan struct{}, 1)
		stop := o.running(wake)
		synctest.Wait()
		if err := o.q.Remove(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * idleRound)
		synctest.Wait()
		o.room.mu.Lock()
		if n := len(o.room.backoff); n != 0 {
			t.Errorf("%d pauses are left", n)
		}
		o.room.mu.Unlock()
		stop()
	})
}

// A broken Maildir that a person repairs is delivered to by itself.
func TestRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, staff())
		bob := mustMkdir(t, o.opt.MailDir, "bob", "tmp")
		bob = filepath.Dir(bob)
		mustWrite(t, filepath.Join(bob, "new"))
		o.add("bob", "ann")
		stop := o.running(nil)
		synctest.Wait()
		o.wantFiles("ann", 1)
		mustRename(t, filepath.Join(bob, "new"), filepath.Join(bob, "was-in-the-way"))
		time.Sleep(firstDelay)
		synctest.Wait()
		o.wantFiles("bob", 1)
		o.wantFiles("ann", 1)
		o.wantEmptyQueue()
		stop()
	})
}

// Stopped in the middle of a message to many: what is delivered is known, the rest waits.
func TestStopped(t *testing.T) {
	opt := staff()
	ctx, cancel := context.WithCancel(t.Context())
	opt.Step = func(s string) error {
		if s == "dirsync" {
			cancel()
		}
		return nil
	}
	o := open(t, opt)
	defer o.stop()
	m := o.add("ann", "bob")
	if err := o.room.Deliver(ctx, m.ID); err != nil {
		t.Error(err)
	}
	row, err := o.q.Get(m.ID)
	if err != nil || row.To[0].State != queue.Sent || row.To[1].State != queue.Waiting {
		t.Errorf("%+v, %v", row.To, err)
	}
	if err := o.room.Deliver(t.Context(), m.ID); err != nil {
		t.Error(err)
	}
	o.wantFiles("ann", 1)
	o.wantFiles("bob", 1)
}

// A message on which its delivery falls over doesn't end the program, each time it starts; the others are delivered, and it is not doubled.
func TestPanicInDelivery(t *testing.T) {
	opt := staff()
	falls := true
	opt.Changed = func(mailbox, _ string) {
		if mailbox == "ann" && falls {
			panic("odd mail")
		}
	}
	o := open(t, opt)
	defer o.stop()
	odd := o.add("ann")
	o.add("bob")
	o.room.deliverWaiting(t.Context())
	o.wantFiles("bob", 1)
	if err := o.room.Deliver(t.Context(), odd.ID); err != nil {
		t.Errorf("it isn't left for later: %v", err)
	}
	falls = false
	o.room.worked(messageKey(odd.ID))
	o.room.deliverWaiting(t.Context())
	o.wantFiles("ann", 1)
	o.wantEmptyQueue()
}

// A server that takes connections and says nothing holds up nobody whose mailbox is here, nor what comes for it more than it must.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := book()
		b.Servers = []route.Server{{Name: "exchange"}}
		b.Users[1].Server, b.Users[1].ServerAddress = "exchange", "bob@corp.example"
		opt := with(b)
		var dials atomic.Int64
		opt.Servers = map[string]Server{"exchange": {
			Dial: func(context.Context) (net.Conn, error) {
				dials.Add(1)
				ours, theirs := net.Pipe()
				t.Cleanup(func() { _ = theirs.Close() })
				return ours, nil
			},
			LMTP: lmtp.Options{LMTP: true, TLS: lmtp.TLSNone},
		}}
		o := open(t, opt)
		wake := make(chan struct{}, 1)
		stop := o.running(wake)
		both := o.add("ann", "bob")
		for range 20 {
			o.add("bob")
		}
		wake <- struct{}{}
		synctest.Wait()
		o.wantFiles("ann", 1)
		o.add("ann")
		wake <- struct{}{}
		synctest.Wait()
		o.wantFiles("ann", 2)
		if dials.Load() != lanes {
			t.Errorf("%d connections", dials.Load())
		}
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		m, err := o.q.Get(both.ID)
		if err != nil || m.To[0].State != queue.Sent || m.To[1].State != queue.Waiting || dials.Load() <= lanes {
			t.Errorf("%+v, %v, %d connections", m.To, err, dials.Load())
		}
		stop()
	})
}
