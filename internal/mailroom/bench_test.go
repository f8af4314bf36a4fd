package mailroom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"outpost/internal/freshdir"
	"outpost/internal/route"
	"outpost/queue"
	"outpost/spool"
)

const (
	// manyMessages is what BenchmarkOffice takes in, copies included; with -short a tenth.
	manyMessages = 100_000
	// copyEvery so many a message comes again through another box.
	copyEvery = 20
	// manyBoxes are collected side by side, and so many messages of all may be on their way to the disk, as in a call.
	manyBoxes, saving = 8, 128
)

// BenchmarkOffice collects 100,000 messages as a call does, and delivers them as they come: header, 50 rules, 30 users, shared folders,
// a list, catch-all boxes, copies; then the queue with fsync, and Maildirs with fsync. What the line and its protocol
// take is not in it. The messages are those of the corpus (scripts/corpus.sh), or, without one, made to its sizes.
//
// The bodies of what is delivered are removed from the spool at the end, within the time. To do so at once costs the same anywhere
// but on an ext4 without a journal, where each new file is then looked for among those deleted lately (see freshDir), and the
// longer the longer it goes on.
//
// Run it with -benchtime 1x. It reports messages a second, and what the heap holds that is alive when a tenth and when all
// of them are in.
func BenchmarkOffice(b *testing.B) {
	texts := benchMail(b)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		f := newFlood(b, texts)
		b.StartTimer()
		began := time.Now()
		before := processorTime()
		f.run()
		took := time.Since(began)
		b.StopTimer()
		b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(f.n), "µs-processor/message")
		f.report(took)
		b.StartTimer()
	}
}

// flood is mail that comes in by the thousand.
type flood struct {
	b     *testing.B
	n     int // messages, copies included
	texts [][]byte
	dir   string
	q     *queue.Queue
	room  *Mailroom
	wake  chan struct{}

	given, copied atomic.Int64
	delivered     atomic.Int64
	taken         time.Duration // until all was in the queue
	heap          [2]uint64     // when a tenth of the mail was in, and when all of it was
}

func newFlood(b *testing.B, texts [][]byte) *flood {
	b.Helper()
	f := &flood{b: b, n: manyMessages, texts: texts, dir: freshdir.Make(b), wake: make(chan struct{}, 1)}
	if testing.Short() {
		f.n /= 10
	}
	table, err := route.New(benchOffice())
	if err != nil {
		b.Fatal(err)
	}
	ring := func(m queue.Message) {
		if m.Waits(queue.Local) {
			select {
			case f.wake <- struct{}{}:
			default:
			}
		}
	}
	if f.q, err = queue.Open(f.dir, queue.Options{OnAdd: ring, OnUpdate: ring, Step: later}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.q.Close() })
	f.room, err = New(Options{
		MailDir: filepath.Join(f.dir, "mail"), Table: func() *route.Table { return table }, Queue: f.q,
		Changed: func(string, string) { f.delivered.Add(1) },
	})
	if err != nil {
		b.Fatal(err)
	}
	return f
}

var errLater = errors.New("it is removed at the end")

func later(step string) error {
	if step == spool.StepRemove {
		return errLater
	}
	return nil
}

// sweep removes the bodies of what was delivered.
func (f *flood) sweep() {
	bodies, err := os.ReadDir(filepath.Join(f.dir, "spool"))
	if err != nil {
		f.b.Fatal(err)
	}
	removed := 0
	for _, body := range bodies {
		if body.Type().IsRegular() && os.Remove(filepath.Join(f.dir, "spool", body.Name())) == nil {
			removed++
		}
	}
	if removed != f.n {
		f.b.Errorf("the spool had %d bodies", removed)
	}
}

// benchOffice has 30 users and 50 rules.
func benchOffice() route.Options {
	opt := route.Options{
		Hostname: "gate.clinic.example", Domains: []string{"clinic.example"},
		Folders: []route.Folder{{Name: "news"}, {Name: "archive"}},
		Lists:   []route.List{{Name: "staff", Members: []string{"user0", "user1", "user2", "news"}}},
	}
	for i := range 30 {
		opt.Users = append(opt.Users, route.User{Name: fmt.Sprintf("user%d", i)})
	}
	for i := range manyBoxes {
		opt.Boxes = append(opt.Boxes, route.Box{Name: boxName(i), CatchAll: &route.CatchAll{ToCc: true, Unknown: []string{"user0/Unknown"}}})
	}
	opt.Boxes[1] = route.Box{Name: boxName(1), To: []string{"news"}}
	opt.Boxes[2] = route.Box{Name: boxName(2), To: []string{"user3", "user4"}}
	for i := range 10 {
		opt.Rules = append(opt.Rules,
			route.Rule{From: []string{fmt.Sprintf("x%d@sender.example", i), fmt.Sprintf("@far%d.example", i)}, Folder: fmt.Sprintf("F%d", i)},
			route.Rule{Subject: []string{fmt.Sprintf("number %d7", i), "win*prize"}, CopyTo: []string{"archive"}},
			route.Rule{ListID: []string{fmt.Sprintf("list%d.example", i), "*exmh-workers*"}, Folder: "Lists"},
			route.Rule{Header: []string{fmt.Sprintf("X-Kind: k%d*", i)}, Hold: true},
			route.Rule{To: []string{fmt.Sprintf("user%d@*", i)}, LargerThan: 10 << 20, Folder: "Big"},
		)
	}
	return opt
}

func boxName(i int) string { return fmt.Sprintf("box%d", i) }

// run returns when everything is delivered.
func (f *flood) run() {
	ctx, stop := context.WithCancel(f.b.Context())
	var postman sync.WaitGroup
	postman.Go(func() { f.room.Run(ctx, f.wake) })
	began := time.Now()
	var boxes sync.WaitGroup
	places := make(chan struct{}, saving)
	for box := range manyBoxes {
		boxes.Go(func() { f.pull(box, places) })
	}
	boxes.Wait()
	f.taken = time.Since(began)
	for {
		left, err := f.q.WaitingAfter(queue.Local, "", 1)
		if err != nil {
			f.b.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	postman.Wait()
	f.sweep()
}

// pull is what package session does with a box.
func (f *flood) pull(box int, places chan struct{}) {
	var all sync.WaitGroup
	defer all.Wait()
	var buf bytes.Buffer
	for i := box; i < f.n; i += manyBoxes {
		places <- struct{}{}
		buf.Reset()
		f.write(&buf, i)
		staged, err := f.q.Stage(f.b.Context(), &buf)
		if err != nil {
			f.b.Error(err)
			return
		}
		all.Go(func() {
			defer func() { <-places }()
			defer staged.Drop()
			f.keep(box, i, staged)
		})
	}
}

func (f *flood) keep(box, i int, staged *queue.Staged) {
	m, discard, err := f.room.Sort(boxName(box), staged.Body(), staged.Size())
	if err == nil && discard != "" {
		err = fmt.Errorf("rule %q discards it", discard)
	}
	if err == nil {
		m.Box, m.UIDL = boxName(box), fmt.Sprintf("uidl-%d", i)
		_, err = staged.Add(f.b.Context(), m)
	}
	switch {
	case errors.Is(err, queue.ErrCopy):
		f.copied.Add(1)
	case err != nil:
		f.b.Error(err)
	}
	switch f.given.Add(1) {
	case int64(f.n / 10):
		f.heap[0] = liveHeap()
	case int64(f.n):
		f.heap[1] = liveHeap()
	}
}

// write makes the ith message: one of the mail's, for somebody, and like no other but for every twentieth, which came through the
// box before. Copies have the Message-ID and the content of the first one.
func (f *flood) write(w *bytes.Buffer, i int) {
	n := i
	if i%copyEvery == copyEvery-1 {
		n--
	}
	fmt.Fprintf(w, "Delivered-To: user%d@clinic.example\r\nMessage-ID: <%d@bench.example>\r\n", n*7%31, n)
	w.Write(f.texts[n%len(f.texts)])
}

// liveHeap is what the heap holds that is alive.
func liveHeap() uint64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func (f *flood) report(took time.Duration) {
	b := f.b
	files := 0
	err := filepath.WalkDir(filepath.Join(f.dir, "mail"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(path)) == "new" {
			files++
		}
		return err
	})
	if err != nil || files != int(f.delivered.Load()) || files < f.n-int(f.copied.Load()) {
		b.Errorf("%d files, %d deliveries, %d copies, %v", files, f.delivered.Load(), f.copied.Load(), err)
	}
	b.ReportMetric(float64(f.n)/took.Seconds(), "messages/s")
	b.ReportMetric(float64(f.n)/f.taken.Seconds(), "taken/s")
	b.ReportMetric(float64(files)/took.Seconds(), "files/s")
	b.ReportMetric(float64(f.copied.Load()), "copies")
	base := 0
	for _, t := range f.texts {
		base += cap(t)
	}
	for i, at := range []string{"MiB-heap-at-10%", "MiB-heap-at-100%"} {
		b.ReportMetric((float64(f.heap[i])-float64(base))/(1<<20), at)
	}
	if err := f.q.Close(); err != nil {
		b.Fatal(err)
	}
}

// benchMail reads the corpus, or makes mail like it: a median of 3.5 kB, a tenth over 9 kB, up to 300 kB.
func benchMail(b *testing.B) (texts [][]byte) {
	b.Helper()
	dir := os.Getenv("OUTPOST_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "bench", "corpus")
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".txt") {
			var text []byte
			if text, err = os.ReadFile(path); err == nil {
				if bytes.HasPrefix(text, []byte("From ")) { // a mailbox file's line, not the provider's
					_, text, _ = bytes.Cut(text, []byte("\n"))
				}
				texts = append(texts, bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")))
			}
		}
		return err
	})
	if len(texts) > 0 {
		b.Logf("%d messages of the corpus in %s", len(texts), dir)
		return texts
	}
	b.Log("no corpus: messages are made to its sizes; scripts/corpus.sh fetches it")
	for i := range 2000 {
		// Quantiles of the corpus.
		size := []int{1_700, 2_200, 2_600, 3_000, 3_500, 4_000, 4_700, 5_900, 9_000, 22_000}[i%10]
		if i == 1999 {
			size = 300_000
		}
		var t bytes.Buffer
		for hop := range 5 {
			fmt.Fprintf(&t, "Received: from mx%d.far.example (mx%d.far.example [192.0.2.%d])\r\n\tby in.provider.example (Postfix) with ESMTP id %dX\r\n"+
				"\tfor <user%d@provider.example>; Mon, 23 Nov 2026 10:00:%02d +0000 (UTC)\r\n", hop, hop, hop, i, i%30, hop)
		}
		fmt.Fprintf(&t, "From: x%d@sender.example\r\nTo: somebody@provider.example\r\nSubject: number %d\r\nList-Id: <list%d.example>\r\n\r\n", i%40, i, i%40)
		for t.Len() < size {
			fmt.Fprintf(&t, "%s\r\n", strings.Repeat("The text of it. ", 4))
		}
		texts = append(texts, t.Bytes())
	}
	return texts
}
