package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// transactions is bolt's own count of write transactions so far.
func transactions(t *testing.T, q *Queue) int {
	t.Helper()
	var id int
	if err := q.view(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

// gated opens a queue whose commits wait for a value in gate, and fail with it
// when it is an error. For use in a bubble.
func gated(t *testing.T, dir string) (q *Queue, gate chan error) {
	t.Helper()
	gate = make(chan error)
	return open(t, dir, Options{Step: func(step string) error {
		if step == StepCommit {
			return <-gate
		}
		return nil
	}}), gate
}

// While the first commit is under way the other forty-nine gather, and share the
// second.
func TestFiftyAddsInTwoTransactions(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, gate := gated(t, dir)
		before := transactions(t, q)
		errs := make(chan error, 50)
		for i := range 50 {
			go func() {
				_, err := q.Add(context.Background(), collected(fmt.Sprint(i)), strings.NewReader("body"))
				errs <- err
			}()
		}
		for range 2 {
			synctest.Wait()
			gate <- nil
		}
		for range 50 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if n := transactions(t, q) - before; n != 2 {
			t.Errorf("50 concurrent Adds took %d bolt transactions, want 2", n)
		}
		if l := list(t, q); len(l) != 50 {
			t.Errorf("%d messages", len(l))
		}
		shut(t, q)
	})
}

// A change is told "already collected" because of another one in its own
// transaction. When that transaction fails, nobody may be told so: the caller
// would delete the only copy there is.
func TestNoRefusalFromAFailedTransaction(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, gate := gated(t, dir)
		errs := make(chan error, 3)
		go func() { errs <- q.Remember(context.Background(), "key", []byte("keeps the committer busy")) }()
		synctest.Wait()
		for range 2 {
			go func() {
				_, err := q.Add(context.Background(), collected("u"), strings.NewReader("body"))
				errs <- err
			}()
		}
		synctest.Wait()
		gate <- nil
		if err := <-errs; err != nil {
			t.Error(err)
		}
		fault := errors.New("fault")
		gate <- fault
		for range 2 {
			if err := <-errs; !errors.Is(err, fault) || errors.Is(err, ErrSeen) {
				t.Errorf("told: %v", err)
			}
		}
		if seen, err := q.Seen("box"); err != nil || len(seen) > 0 || len(list(t, q)) > 0 || len(bodies(t, dir)) > 0 {
			t.Errorf("seen %v, %v; files %v", seen, err, bodies(t, dir))
		}
		// And in a transaction that stands, one is kept and one is refused.
		for range 2 {
			go func() {
				_, err := q.Add(context.Background(), collected("u"), strings.NewReader("body"))
				errs <- err
			}()
		}
		synctest.Wait()
		gate <- nil
		if a, b := <-errs, <-errs; (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), ErrSeen) {
			t.Errorf("told %v and %v", a, b)
		}
		shut(t, q)
	})
}

// After a commit that failed, bolt may show what the disk doesn't hold. An
// answer that rests on it, even a refusal, waits for a commit that succeeds.
func TestCommitAfterAFailedCommit(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	add(t, q, collected("u"), "body")
	before := transactions(t, q)
	again := func() {
		if _, err := q.Add(t.Context(), collected("u"), strings.NewReader("")); !errors.Is(err, ErrSeen) {
			t.Errorf("got %v", err)
		}
	}
	again()
	if n := transactions(t, q) - before; n != 0 {
		t.Errorf("a refusal alone took %d transactions", n)
	}
	q.committer.unsettled = true // the goroutine is idle; the next job orders it after this
	again()
	again()
	if n := transactions(t, q) - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
}

// A change whose ctx ends while it waits is withdrawn; one that is being
// committed is waited for, and the answer is what really happened.
func TestCancelledWhileWaiting(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, gate := gated(t, dir)
		ctx, cancel := context.WithCancel(context.Background())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := q.Add(ctx, submitted("first"), strings.NewReader("first"))
			first <- err
		}()
		synctest.Wait() // the first is being committed
		go func() {
			_, err := q.Add(ctx, submitted("second"), strings.NewReader("second"))
			second <- err
		}()
		synctest.Wait() // the second waits
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the second: %v", err)
		}
		gate <- nil
		if err := <-first; err != nil {
			t.Errorf("the first: %v", err)
		}
		if l := list(t, q); len(l) != 1 || l[0].To[0].Addr != "first" || len(bodies(t, dir)) != 1 {
			t.Errorf("kept %+v, files %v", l, bodies(t, dir))
		}
		shut(t, q)
	})
}

// Close commits what was handed in before it.
func TestCloseFinishesWhatIsPending(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, gate := gated(t, dir)
		errs := make(chan error, 2)
		for i := range 2 {
			go func() { errs <- q.Remember(context.Background(), fmt.Sprint("key", i), []byte("value")) }()
			synctest.Wait()
		}
		closed := make(chan error, 1)
		go func() { closed <- q.Close() }()
		synctest.Wait()
		if len(closed) > 0 {
			t.Error("closed over work under way")
		}
		gate <- nil
		gate <- nil
		if err := errors.Join(<-errs, <-errs, <-closed); err != nil {
			t.Error(err)
		}
	})
	q := open(t, dir, Options{})
	for _, key := range []string{"key0", "key1"} {
		if v, err := q.Recall(key); err != nil || string(v) != "value" {
			t.Errorf("%s: %q, %v", key, v, err)
		}
	}
}

// A caller's panic is that caller's error, not the end of everybody.
func TestPanicInAChange(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	m := add(t, q, submitted("x"), "body")
	if err := q.Update(t.Context(), m.ID, func(*Message) error { panic("oops") }); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("got %v", err)
	}
	if err := q.Update(t.Context(), m.ID, sendAll); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// Everything at once, for the race detector; and nothing gets lost in it.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	var told atomic.Int32
	q := open(t, dir, Options{OnAdd: func(Message) { told.Add(1) }})
	var wg sync.WaitGroup
	for worker := range 12 {
		wg.Go(func() {
			for i := range 8 {
				if err := useAll(t.Context(), q, worker, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if l := list(t, q); len(l) != 12*8/2 || told.Load() != 12*8 {
		t.Errorf("%d messages left of %d", len(l), told.Load())
	}
	shut(t, q)
	q = open(t, dir, Options{})
	if l, files := list(t, q), bodies(t, dir); len(l) != 12*8/2 || len(files) != len(l) {
		t.Errorf("after reopening: %d messages, %d files", len(l), len(files))
	}
	if calls, err := q.Calls(0); err != nil || len(calls) != 12*8 {
		t.Errorf("%d calls, %v", len(calls), err)
	}
}

// useAll adds a message and reads it back; every second one is sent.
func useAll(ctx context.Context, q *Queue, worker, i int) error {
	body := fmt.Sprintf("body %d %d", worker, i)
	m, err := q.Add(ctx, collected(body), strings.NewReader(body))
	if err != nil {
		return err
	}
	r, err := q.Body(m.ID)
	if err != nil {
		return err
	}
	got := make([]byte, len(body))
	if _, err := r.Read(got); err != nil || string(got) != body {
		return fmt.Errorf("%q, %w", got, err)
	}
	if err := r.Close(); err != nil {
		return err
	}
	c, err := q.BeginCall(ctx, Call{Line: "line"})
	if err != nil {
		return err
	}
	_, listErr := q.List()
	_, waitErr := q.Waiting(Local)
	_, seenErr := q.Seen("box")
	err = errors.Join(listErr, waitErr, seenErr, q.SaveCall(ctx, c), q.Remember(ctx, "key", []byte(body)))
	if i%2 == 0 {
		err = errors.Join(err, q.Update(ctx, m.ID, sendAll))
	}
	return err
}

// BenchmarkAdd shows what sharing is worth: compare the messages a second, and
// see the transactions an operation.
func BenchmarkAdd(b *testing.B) {
	body := strings.Repeat("a line of an ordinary message\r\n", 130) // 4 KiB
	for _, clients := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			var commits, dirsyncs atomic.Int64
			q, err := Open(b.TempDir(), Options{Step: func(step string) error {
				switch step {
				case StepCommit:
					commits.Add(1)
				case spool.StepDirSync:
					dirsyncs.Add(1)
				}
				return nil
			}})
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if _, err := q.Add(context.Background(), submitted("x@far.example"), strings.NewReader(body)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(float64(commits.Load())/float64(b.N), "transactions/op")
		})
	}
}
