package modem

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
)

// Terminal is how a person or a script talks to a modem.
type Terminal struct {
	In  io.Reader // what is typed
	Out io.Writer // gets what the modem says, octet for octet

	// Escape ends the conversation when it is typed, and is not sent. 0: nothing does.
	Escape byte
	// Script says that In has lines instead of keystrokes: each is sent with a CR, when
	// the one before has got its result code or the modem was quiet for Quiet.
	Script bool
	// Quiet is how long a modem that owes an answer is waited for. 0: 2 s.
	Quiet time.Duration
}

// defaultQuiet is longer than any command takes that does not dial, but ATZ of a few and a
// mobile modem's search for its network.
const defaultQuiet = 2 * time.Second

// Converse lets In and Out talk to the modem until In ends, the escape is typed, the port
// fails or ctx ends; nil in the first two cases. What was typed is not known and may have
// dialled: call Hangup afterwards. Nothing of it is in the transcript. A read of In that is under
// way when it returns stays behind and takes what comes next.
func (m *Modem) Converse(ctx context.Context, t Terminal) error {
	ctx, leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if t.Quiet <= 0 {
		t.Quiet = defaultQuiet
	}
	m.setDTR(true)
	m.setOnHook(false)
	m.record.note("a conversation by hand")
	ctx, cancel := context.WithCancelCause(ctx)
	v := &conversation{Terminal: t, m: m, news: make(chan struct{}, 1)}
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		cancel(v.listen(ctx))
	}()
	if t.Script {
		err = v.recite(ctx)
	} else {
		err = v.keyIn(ctx)
	}
	if err == nil {
		err = errDone
	}
	cancel(err)
	<-listened
	if err = context.Cause(ctx); errors.Is(err, errDone) {
		return nil
	}
	return err
}

// errDone is the cause of a conversation's end in order.
var errDone = errors.New("modem: the conversation is over")

// conversation is a Terminal at work.
type conversation struct {
	Terminal
	m        *Modem
	news     chan struct{} // something came from the modem
	answered atomic.Bool   // a result code came since the last line was sent
}

// listen carries what the modem says to Out.
func (v *conversation) listen(ctx context.Context) error {
	buf := make([]byte, 1024)
	var line []byte
	for {
		n, err := v.m.in.read(nil, buf, ctx.Done())
		if err != nil {
			return fmt.Errorf("modem: the port fails: %w", err)
		}
		if n == 0 {
			return context.Cause(ctx)
		}
		if _, err := v.Out.Write(buf[:n]); err != nil {
			return err
		}
		line = v.watch(append(line, buf[:n]...))
		poke(v.news)
	}
}

// watch looks for result codes in what has come, and gives back the line that is not
// over yet.
func (v *conversation) watch(text []byte) []byte {
	for {
		end := bytes.IndexAny(text, "\r\n")
		if end < 0 {
			return text[max(0, len(text)-maxLine):]
		}
		if r, _ := ParseResult(string(text[:end])); onAbort(r) {
			v.answered.Store(true)
		}
		text = text[end+1:]
	}
}

// send writes to the modem.
func (v *conversation) send(ctx context.Context, p []byte) error {
	_, err := v.m.out.write(nil, p, ctx.Done())
	if errors.Is(err, errWriteStopped) {
		return context.Cause(ctx)
	}
	return err
}

// typed is a piece of In.
type typed struct {
	text []byte
	err  error
}

// keyIn sends what is typed, as it comes.
func (v *conversation) keyIn(ctx context.Context) error {
	keys := v.reader(ctx, func() typed {
		buf := make([]byte, 256)
		n, err := v.In.Read(buf)
		return typed{buf[:n], err}
	})
	for {
		var k typed
		select {
		case k = <-keys:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		text, _, over := bytes.Cut(k.text, []byte{v.Escape})
		if v.Escape == 0 {
			text, over = k.text, false
		}
		if err := v.send(ctx, text); err != nil {
			return err
		}
		switch {
		case over || errors.Is(k.err, io.EOF):
			return nil
		case k.err != nil:
			return k.err
		}
	}
}

// recite sends In's lines one after the other.
func (v *conversation) recite(ctx context.Context) error {
	lines := bufio.NewReaderSize(v.In, maxLine)
	texts := v.reader(ctx, func() typed {
		text, err := lines.ReadSlice('\n')
		return typed{bytes.Clone(text), err}
	})
	for {
		var l typed
		select {
		case l = <-texts:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if errors.Is(l.err, bufio.ErrBufferFull) {
			return fmt.Errorf("a line is longer than %d octets", maxLine)
		}
		if text := strings.TrimRight(string(l.text), "\r\n"); text != "" || l.err == nil {
			v.answered.Store(false)
			if err := v.send(ctx, []byte(text+"\r")); err != nil {
				return err
			}
			v.await(ctx)
		}
		switch {
		case errors.Is(l.err, io.EOF):
			return nil
		case l.err != nil:
			return l.err
		}
	}
}

// await waits for a result code, or until the modem has been quiet for long.
func (v *conversation) await(ctx context.Context) {
	quiet := time.NewTimer(v.Quiet)
	defer quiet.Stop()
	for !v.answered.Load() {
		select {
		case <-v.news:
			quiet.Reset(v.Quiet)
		case <-quiet.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// reader reads In piece by piece in a goroutine of its own, since a read of a terminal
// cannot be cut short.
func (v *conversation) reader(ctx context.Context, next func() typed) <-chan typed {
	pieces := make(chan typed)
	go func() {
		for {
			piece := next()
			select {
			case pieces <- piece:
			case <-ctx.Done():
				return
			}
			if piece.err != nil {
				return
			}
		}
	}()
	return pieces
}
