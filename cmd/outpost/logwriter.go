package main

import (
	"fmt"
	"io"
	"time"
)

const (
	// logBacklog is how many lines of the log may wait for a reader: some
	// minutes of a busy call.
	logBacklog = 4096
	// flushLimit is how long the end of the program waits for the log's reader.
	flushLimit = 2 * time.Second
)

// logWriter passes the log on without ever waiting for who reads it. A terminal
// held with Ctrl-S or a pager that stopped would otherwise hold up the daemon in
// the middle of a call, and with it a line that costs money. Lines that find no
// place are counted, and the count is written when there is room again.
type logWriter struct {
	lines chan []byte
	done  chan struct{}
	lost  chan int // holds the count of lost lines, when there are any
}

func newLogWriter(w io.Writer) *logWriter {
	l := &logWriter{lines: make(chan []byte, logBacklog), done: make(chan struct{}), lost: make(chan int, 1)}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			_, _ = w.Write(line) // nobody is left to be told
			select {
			case n := <-l.lost:
				fmt.Fprintf(w, "%d lines of the log were lost because nobody took them\n", n)
			default:
			}
		}
	}()
	return l
}

// Write takes one line. It never waits and never fails. slog calls it from one
// goroutine at a time.
func (l *logWriter) Write(line []byte) (int, error) {
	select {
	case l.lines <- append([]byte(nil), line...):
	default:
		n := 0
		select {
		case n = <-l.lost:
		default:
		}
		l.lost <- n + 1
	}
	return len(line), nil
}

// flush ends the writing once everything was taken, or after a while. Nothing
// may be written after it.
func (l *logWriter) flush() {
	close(l.lines)
	limit := time.NewTimer(flushLimit)
	defer limit.Stop()
	select {
	case <-l.done:
	case <-limit.C:
	}
}
