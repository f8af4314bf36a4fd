package ppp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
)

// Addresses is what a link came up with.
type Addresses struct {
	Local netip.Addr   // ours; always valid
	Peer  netip.Addr   // the far end's; zero if it didn't say
	DNS   []netip.Addr // the far end's name servers, best first; may be empty
	MTU   int          // longest packet in octets that the peer takes, 1500 at most
}

// Link is one PPP link on one stream. Its methods may be called from any
// goroutine.
type Link struct {
	stream io.ReadWriteCloser
	cfg    Config
	count  counters
	out    *writer
	engine *engine

	commands chan func(*engine) // for the engine's goroutine
	done     chan struct{}      // closed when the link has ended
	gone     chan struct{}      // closed when its goroutines have, too

	mu      sync.Mutex
	started bool
	err     error // why it ended; set before done is closed
	memory  Memory
}

// New makes a link on a stream. The stream must be a transparent one of eight
// bits, its Close must end a Read and a Write in progress, and it belongs to the
// link from now on. Nothing is sent before Up.
func New(stream io.ReadWriteCloser, cfg Config) *Link {
	l := &Link{
		stream: stream, cfg: cfg.withDefaults(),
		commands: make(chan func(*engine)),
		done:     make(chan struct{}),
		gone:     make(chan struct{}),
	}
	l.out = newWriter(stream, l.cfg.Rate, &l.count)
	l.engine = newEngine(l.cfg, l.out, &l.count)
	return l
}

// Up negotiates until IPv4 packets can flow. It may be called once. When it
// fails the link has ended, with the same error from Err: an *Error, or one
// that wraps the cause of ctx's end. Ctx governs Up only, not the life after.
func (l *Link) Up(ctx context.Context) (Addresses, error) {
	if err := l.start(); err != nil {
		return Addresses{}, err
	}
	select {
	case got := <-l.engine.opened:
		l.mu.Lock()
		l.memory = got.memory
		l.mu.Unlock()
		return got.addresses, nil
	case <-l.done:
	case <-ctx.Done():
		l.post(func(e *engine) { e.abort(context.Cause(ctx)) })
		<-l.done
	}
	return Addresses{}, l.Err()
}

func (l *Link) start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return l.err
	case l.started:
		return errors.New("ppp: link was started before")
	case l.cfg.Server && !l.cfg.LocalAddr.Is4():
		return errors.New("ppp: a server needs an IPv4 address of its own")
	}
	l.started = true
	go l.run()
	return nil
}

// run holds the three goroutines together: the engine's is this one.
func (l *Link) run() {
	stop := make(chan struct{})
	chunks := make(chan chunk)
	again := make(chan struct{}, 1)
	var others sync.WaitGroup
	others.Go(func() { l.read(chunks, again, stop) })
	others.Go(func() {
		if err := l.out.run(stop); err != nil {
			l.post(func(e *engine) { e.lost(err) })
		}
	})
	l.engine.run(chunks, again, l.commands)
	close(stop)
	l.end(l.engine.err)
	others.Wait()
	close(l.gone)
}

// read hands on what the stream gives. A read that gives nothing is a serial
// port's time-out, and no end.
func (l *Link) read(chunks chan<- chunk, again <-chan struct{}, stop <-chan struct{}) {
	buf := make([]byte, 4096)
	for {
		n, err := l.stream.Read(buf)
		if n == 0 && err == nil {
			select {
			case <-stop:
				return
			default:
				continue
			}
		}
		l.count.octetsIn.Add(int64(n))
		select {
		case chunks <- chunk{buf[:n], err}:
		case <-stop:
			return
		}
		if err != nil {
			return
		}
		select {
		case <-again:
		case <-stop:
			return
		}
	}
}

// post runs f on the engine's goroutine, unless the link has ended.
func (l *Link) post(f func(*engine)) {
	select {
	case l.commands <- f:
	case <-l.done:
	}
}

// end tells everybody, and then closes the stream: that may take its time.
func (l *Link) end(err error) {
	l.mu.Lock()
	l.err = err
	l.mu.Unlock()
	close(l.done)
	_ = l.stream.Close()
}

// ReadPacket waits for one IPv4 packet. After the link's end it gives what had
// arrived before, and then the reason of the end. A p too short for a packet
// loses it: io.ErrShortBuffer.
func (l *Link) ReadPacket(p []byte) (int, error) {
	var packet []byte
	select {
	case packet = <-l.engine.packets:
	case <-l.done:
		select {
		case packet = <-l.engine.packets:
		default:
			return 0, l.Err()
		}
	}
	if len(packet) > len(p) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, packet), nil
}

// WritePacket hands over one IPv4 packet of at most the MTU. It waits until the
// line is free for it, and while the link negotiates anew; it gives the reason
// of the end once the link has ended. A nil error doesn't say that the packet
// has left. P is the caller's again, and unchanged.
func (l *Link) WritePacket(p []byte) error {
	if mtu := l.out.mtu.Load(); int64(len(p)) > mtu {
		return fmt.Errorf("ppp: packet of %d octets is longer than the MTU of %d", len(p), mtu)
	}
	p = append([]byte(nil), p...)
	return l.WriteNext(func() []byte { return p })
}

// WriteNext is WritePacket for a packet that is chosen only when the line is free
// for it, so that an urgent one that came meanwhile goes first. Next is called at
// most once, on the writer's goroutine; it must not block, and its packet, of at
// most the MTU, belongs to the link. It may give nil.
func (l *Link) WriteNext(next func() []byte) error {
	select {
	case <-l.done:
		return l.Err()
	default:
	}
	select {
	case l.out.data <- next:
		return nil
	case <-l.done:
		return l.Err()
	}
}

// Probe asks the peer for a sign of life, and calls answered when it comes: all
// that the peer had sent before has arrived by then. It calls it at once if the
// peer can't be asked, and never if the link ends first. It is called on the
// link's goroutine and must not block.
func (l *Link) Probe(answered func()) { l.post(func(e *engine) { e.probe(answered) }) }

// Close says goodbye to the peer, waits for its answer, and closes the stream.
// The wait ends with ctx, or after MaxTerminate restart timers. The error is
// ctx's when it cut the goodbye short; the link has ended all the same. Close
// may be called at any time, also during Up, and again.
func (l *Link) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.started {
		l.started = true
		l.mu.Unlock()
		l.end(ErrClosed)
		close(l.gone)
		return nil
	}
	l.mu.Unlock()
	l.post((*engine).close)
	var cut error
	select {
	case <-l.done:
	case <-ctx.Done():
		cut = context.Cause(ctx)
		l.post(func(e *engine) { e.abort(ErrClosed) })
	}
	select {
	case <-l.gone:
	case <-ctx.Done(): // the stream's Close didn't end its Read or Write
		<-l.done
	}
	return cut
}

// Done is closed when the link has ended, for whatever reason.
func (l *Link) Done() <-chan struct{} { return l.done }

// Err is nil while the link lives, then why it ended: an *Error, ErrClosed after
// Close, or what ended Up's context.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Memory is what to give Config.Memory the next time this provider is called; it
// knows nothing before Up has succeeded.
func (l *Link) Memory() Memory {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.memory
}

// Rate is the bit/s that the writer keeps to: Config.Rate, or less where the line
// takes less; 0: none.
func (l *Link) Rate() int { return int(l.out.pace.rate.Load()) }

// Stats gives the counts so far, also after the end.
func (l *Link) Stats() Stats { return l.count.snapshot() }
