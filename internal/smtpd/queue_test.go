package smtpd

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/queue"
	"outpost/spool"
)

// withQueue puts the real queue behind the door.
func withQueue(t *testing.T, floor int64) (*office, *queue.Queue, string) {
	t.Helper()
	dir := t.TempDir()
	q, err := queue.Open(dir, queue.Options{Spool: spool.Options{MinFreeBytes: floor}})
	if err != nil {
		t.Fatal(err)
	}
	// Before the office's own clean-up, which runs first.
	t.Cleanup(func() { q.Close() })
	return open(t, func(o *Options) { o.Submit = q.Add }), q, dir
}

// 250 means that the queue has it, whole; anything else that it has nothing.
func TestRealQueue(t *testing.T) {
	o, q, dir := withQueue(t, 0)
	c := ready(o, false)
	c.raw("BDAT 500 LAST\r\n" + letter) // Dies inside the chunk.
	c.conn.Close()
	c = connect(t, c.conn.RemoteAddr().String())
	c.play(hello + "> MAIL FROM:<a@b.example>\n< 250\n> RCPT TO:<all@office.example>\n< 250\n> DATA\n< 354")
	c.raw(letter + strings.Repeat("x\r\n", 64<<10) + ".\r\n")
	c.want("552 5.3.4")
	c.play("> MAIL FROM:<a@b.example>\n< 250\n> RCPT TO:<all@office.example>\n< 250\n> DATA\n< 354")
	c.raw(letter + ".\r\n")
	c.want("250")
	c.play("> QUIT\n< 221")
	if err := o.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := q.List()
	if err != nil || len(list) != 1 || len(list[0].To) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	body, err := q.Body(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if b, err := io.ReadAll(body); err != nil || !strings.HasSuffix(string(b), letter) || !strings.HasPrefix(string(b), "Received: ") {
		t.Errorf("%q, %v", b, err)
	}
	var files []string
	err = filepath.WalkDir(filepath.Join(dir, "spool"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) != 1 {
		t.Errorf("in the spool: %q, %v", files, err)
	}
	if log := o.log.String(); !strings.Contains(log, "id="+string(list[0].ID)) {
		t.Errorf("the message's id is not in the log:\n%s", log)
	}
}

// Under the disk floor nothing is taken, by DATA or BDAT, and the session goes on.
func TestRealQueueFull(t *testing.T) {
	o, q, _ := withQueue(t, math.MaxInt64)
	c := ready(o, false)
	c.play("> DATA\n< 354")
	c.raw(letter + ".\r\n")
	c.want("452 4.3.1")
	c.play("> MAIL FROM:<>\n< 250\n> RCPT TO:<ann@office.example>\n< 250")
	c.raw("BDAT 4 LAST\r\nA: b")
	c.want("452 4.3.1")
	c.play("> NOOP\n< 250")
	if list, err := q.List(); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
