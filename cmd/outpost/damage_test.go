package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"outpost/internal/config"
	"outpost/queue"
)

// A row that can't be read is shown as such, and hides nothing else from who looks at the queue.
func TestDamageHidesNothing(t *testing.T) {
	dir := t.TempDir()
	cfg, err := config.Parse("outpost.toml", fmt.Appendf(nil, "[office]\nname = \"gw.clinic.example\"\ndomains = [\"clinic.example\"]\n"+
		"[storage]\ndir = %q\n[[user]]\nname = \"ann\"\n[[line]]\nport = \"/dev/null\"\nnumber = \"1\"\n", dir))
	if err != nil {
		t.Fatal(err)
	}
	o, err := openOffice(cfg, opening{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	held := queue.Message{Origin: queue.Collected, To: []queue.Recipient{{Addr: "ann", Where: queue.Local, State: queue.Held}}}
	if _, err := o.queue.Add(t.Context(), held, strings.NewReader("Subject: here\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	note := queue.Message{Origin: queue.Notice, To: []queue.Recipient{{Addr: "ann", Where: queue.Local}}}
	if _, err := o.queue.AddWith(t.Context(), note, strings.NewReader("x"), queue.WithHold(queue.Hold{Box: "b", UIDL: "1", Subject: "there"})); err != nil {
		t.Fatal(err)
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(dir, "outpost.db"), 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("holds")).Put([]byte("b\x002"), []byte("{torn")) })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if o, err = openOffice(cfg, opening{log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.close() }()
	if s, err := o.status(); err != nil || s.Held != 2 || s.Undelivered != 1 || !strings.Contains(s.Damaged, "damaged") {
		t.Errorf("%+v, %v", s, err)
	}
	if list, err := o.held(); err != nil || len(list) != 2 || list[0].Subject != "there" || list[1].Subject != "here" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := o.listed(); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
}
