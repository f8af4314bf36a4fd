package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// A reader that stopped must never hold up who writes the log.
func TestLogNeverWaits(t *testing.T) {
	r, w := io.Pipe() // nobody reads
	l := newLogWriter(w)
	log := slog.New(slog.NewTextHandler(l, nil))
	const lines = logBacklog + 100
	for i := range lines {
		log.Info(fmt.Sprint("line ", i))
	}
	// Now somebody does: what was kept comes, and how much was lost is said.
	var got bytes.Buffer
	read := make(chan struct{})
	go func() { defer close(read); _, _ = got.ReadFrom(r) }()
	l.flush()
	_ = w.Close()
	<-read
	text := got.String()
	if !strings.Contains(text, "line 0\"") || !strings.Contains(text, "lines of the log were lost") {
		t.Errorf("the log is %.300s ...", text)
	}
	if n := strings.Count(text, "msg="); n < logBacklog || n >= lines {
		t.Errorf("%d lines of %d", n, lines)
	}
}
