package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// hostOptions is what a hostNet is told about its line.
type hostOptions struct {
	// Interface ties connections to an interface of this computer; "": they go
	// where its routes lead.
	Interface string
	// Local are the interface's addresses: connections come from them.
	Local []netip.Addr
	// Strict refuses a connection that can't be tied to the interface by the
	// kernel. Otherwise its address must do, and the routes that belong to it.
	Strict bool
	// Servers are the line's name servers; nil: the system's are asked.
	Servers func(ctx context.Context) []netip.Addr
	// Pace bounds what a connection sends, in octets a second: just under the
	// line's rate, so that no queue builds up before it. 0: no bound.
	Pace int
	// Late is how long the answer to a far end's SYN waits for our first words; see lateAnswer.
	Late time.Duration
	// Wait bounds one attempt to connect to one address.
	Wait time.Duration
	// Names are what earlier calls have found.
	Names map[string]KeptName
	// Note is told what a person should know, once.
	Note func(text string)
}

// hostNet makes connections with this computer's own TCP/IP, over a line that the
// system carries, and ends them with the line. Its methods may be called from any
// goroutine.
type hostNet struct {
	opt  hostOptions
	life context.Context // ended by close, with the cause
	end  context.CancelCauseFunc
	once sync.Once // for the note that a socket can't be tied

	up, down atomic.Int64 // octets of the connections, without any headers
	turn     atomic.Int64 // the name server whose turn it is
	names    *names
	pacer    *pacer

	mu   sync.Mutex
	open map[*hostConn]struct{} // nil once closed
}

func newHostNet(opt hostOptions) *hostNet {
	h := &hostNet{opt: opt, open: make(map[*hostConn]struct{})}
	h.life, h.end = context.WithCancelCause(context.Background())
	h.pacer = newPacer(opt.Pace)
	h.names = newNames(h.life, opt.Names, h.resolve)
	return h
}

// close ends every connection at once; nothing more is sent. Idempotent: the
// first cause counts.
func (h *hostNet) close(cause error) {
	h.end(cause)
	h.mu.Lock()
	open := h.open
	h.open = nil
	h.mu.Unlock()
	for c := range open {
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // what waits is thrown away: the line is to come down
		}
		_ = c.Conn.Close()
	}
}

// dial connects to "host:port", as Stack.DialContext does. Errors are *Error, or
// a net.OpError with the context's cause when ctx ended it.
func (h *hostNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := splitAddress(address)
	if err != nil {
		return nil, &Error{Kind: InvalidAddress, Address: address, Err: err}
	}
	switch network {
	case "tcp", "tcp4", "udp", "udp4":
	default:
		return nil, &Error{Kind: InvalidAddress, Address: address, Err: net.UnknownNetworkError(network)}
	}
	addrs, err := h.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var first error
	for _, a := range addrs {
		c, err := h.connect(ctx, network, netip.AddrPortFrom(a, port), address)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil || h.life.Err() != nil {
			break
		}
	}
	return nil, first
}

// connect tries one address.
func (h *hostNet) connect(ctx context.Context, network string, to netip.AddrPort, address string) (net.Conn, error) {
	d, err := h.dialer(network, to.Addr())
	if err != nil {
		return nil, err
	}
	limited, cancel := h.bind(ctx)
	defer cancel(nil)
	inner, err := d.DialContext(limited, network, to.String())
	if err != nil {
		return nil, h.explain(ctx, address, err)
	}
	c := newHostConn(h, inner, address)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		_ = inner.Close()
		return nil, h.lost(address)
	}
	h.open[c] = struct{}{}
	return c, nil
}

// dialer makes what connects from the interface to an address. It asks for no
// keep-alives: each costs, and a line that is gone is noticed otherwise.
func (h *hostNet) dialer(network string, to netip.Addr) (*net.Dialer, error) {
	d := &net.Dialer{Timeout: h.opt.Wait, KeepAlive: -1}
	if h.opt.Interface == "" {
		d.Control = h.paced
		return d, nil
	}
	d.Control = h.tied
	for _, a := range h.opt.Local {
		if a.Is4() != to.Is4() {
			continue
		}
		if network == "tcp" || network == "tcp4" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
		} else {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
		}
		return d, nil
	}
	return nil, &Error{Kind: Unreachable, Address: to.String(), Hint: "interface " + h.opt.Interface + " has no address of that kind (IPv4 or IPv6)"}
}

// paced prepares a socket that has been made and isn't connected yet. A kernel
// that can't do it is no reason not to send.
func (h *hostNet) paced(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = thrifty(fd)
		if h.opt.Pace > 0 {
			_ = pace(fd, h.opt.Pace)
		}
	})
}

// tied is paced for a socket that belongs to an interface.
func (h *hostNet) tied(network, address string, c syscall.RawConn) error {
	var refused error
	if err := c.Control(func(fd uintptr) { refused = tie(fd, h.opt.Interface) }); err != nil {
		return err
	}
	switch {
	case refused != nil && h.opt.Strict:
		return refused
	case refused != nil:
		h.once.Do(func() {
			h.opt.Note(fmt.Sprintf("connections are kept on %s by its address only: %v", h.opt.Interface, refused))
		})
	}
	return h.paced(network, address, c)
}

// bind gives a context that ends with the line too.
func (h *hostNet) bind(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(h.life, func() { cancel(context.Cause(h.life)) })
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}

// lost is the error of everything that is tried once the line is down.
func (h *hostNet) lost(address string) error {
	return &Error{Kind: LineLost, Address: address, Temporary: true, Err: context.Cause(h.life)}
}

// explain says why something failed: the line first, then the caller, then the
// far host. What its caller ended, by deadline or by Close, stays what it is
// everywhere else in Go.
func (h *hostNet) explain(ctx context.Context, address string, err error) error {
	var op *net.OpError
	switch {
	case h.life.Err() != nil:
		return h.lost(address)
	case ctx.Err() != nil:
		return &net.OpError{Op: "dial", Net: "tcp", Err: context.Cause(ctx)}
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return err
	case errors.As(err, &op) && op.Op != "dial" && op.Timeout():
		return &net.OpError{Op: op.Op, Net: op.Net, Source: op.Source, Addr: op.Addr, Err: os.ErrDeadlineExceeded}
	}
	e := &Error{Kind: kindOfErrno(err), Address: address, Temporary: true, Err: err}
	e.Hint = e.Kind.hint()
	if errors.Is(err, os.ErrPermission) && h.opt.Strict {
		e.Hint = "the kernel lets only root keep a connection on an interface: run outpost as root, or set default_route"
	}
	return e
}

// kindOfErrno translates what the system says.
func kindOfErrno(err error) Kind {
	for kind, faults := range map[Kind][]syscall.Errno{
		Refused:        {syscall.ECONNREFUSED},
		ConnectTimeout: {syscall.ETIMEDOUT},
		Unreachable:    {syscall.EHOSTUNREACH, syscall.ENETUNREACH},
		Reset:          {syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED},
	} {
		for _, f := range faults {
			if errors.Is(err, f) {
				return kind
			}
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ConnectTimeout
	}
	return ConnectionFault
}
