package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// lookInterval is the time between two looks at an interface. Two looks that
	// find it gone are a loss, within the second in which connections must fail;
	// one may have met a renegotiation or a renewed lease.
	lookInterval = 400 * time.Millisecond
	// leaveLimit is how long an interface may take to lose its address once
	// DownCommand has ended: DHCP clients are told, and act, a moment later.
	leaveLimit = 10 * time.Second
)

// netCall is one use of a NetLine.
type netCall struct {
	cfg     NetConfig
	ground  ground
	journal *journal
	meter   *ifMeter // nil: the connections' octets are counted
	was     ifState  // the interface, before the line was brought up

	*lifetime
	cause error // why the line was lost; set before lost is closed

	asked bool // UpCommand was begun: there is something to take down. Set before risen

	mu        sync.Mutex
	connected time.Time
	host      *hostNet

	proof string // what the last descent saw; set before it has succeeded
}

func newNetCall(cfg NetConfig, g ground) *netCall {
	c := &netCall{cfg: cfg, ground: g, journal: newJournal(), lifetime: newLifetime()}
	if cfg.Interface == "" {
		c.note("no interface is named: the octets counted are those of the connections, without headers")
		return c
	}
	c.was = g.look(cfg.Interface)
	if _, _, err := g.octets(cfg.Interface); errors.Is(err, errors.ErrUnsupported) {
		c.note("this system has no counters of %s: the octets counted are those of the connections, without headers", cfg.Interface)
		return c
	}
	c.meter = newIfMeter(func() (up, down int64, err error) { return g.octets(cfg.Interface) })
	return c
}

func (c *netCall) note(format string, args ...any) {
	c.journal.add("-- ", fmt.Sprintf(format, args...))
}

// bringUp puts the guard up and runs UpCommand. The meter runs from its beginning, but only if it
// succeeds: what a failed one may have cost is not known.
func (c *netCall) bringUp(ctx context.Context) error {
	if c.cfg.Guard {
		if err := newGuard(c.cfg.Name, c.cfg.Interface).install(ctx); err != nil {
			return err
		}
		c.note("nobody else may send on %s", c.cfg.Interface)
	}
	begun := time.Now()
	c.asked = true
	if err := c.run(ctx, c.cfg.UpCommand); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected = begun
	return nil
}

// run runs one of the commands, if there is one.
func (c *netCall) run(ctx context.Context, argv []string) error {
	if len(argv) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.CommandLimit, fmt.Errorf("not done after %v", c.cfg.CommandLimit))
	defer cancel()
	c.journal.add("> ", strings.Join(argv, " "))
	begun := time.Now()
	env := []string{"OUTPOST_LINE=" + c.cfg.Name, "OUTPOST_INTERFACE=" + c.cfg.Interface}
	err := c.ground.run(ctx, argv, env, func(line string) { c.journal.add("< ", line) })
	took := time.Since(begun).Round(100 * time.Millisecond)
	if err != nil {
		c.note("failed after %v: %v", took, err)
		return err
	}
	c.note("done after %v", took)
	return nil
}

// establish waits for an address.
func (c *netCall) establish(ctx context.Context) error {
	t := tune(0, c.cfg.RTT)
	opt := hostOptions{
		Interface: c.cfg.Interface, Wait: t.connectWait,
		Pace: c.cfg.Rate / 8, Late: lateAnswer(c.cfg.Rate, c.cfg.RTT), // of its own octets, not of a serial line's
		Note:  func(text string) { c.note("%s", text) },
		Names: recall(c.cfg.Memory, c.cfg.memoryKey(), c.cfg.Log).Names,
	}
	if len(c.cfg.DNS) > 0 {
		opt.Servers = func(context.Context) []netip.Addr { return c.cfg.DNS }
	}
	if c.cfg.Interface != "" {
		state, err := c.await(ctx)
		if err != nil {
			return err
		}
		opt.Local = state.addrs
		c.note("%s has %v", c.cfg.Interface, state.addrs)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.host = newHostNet(opt)
	return nil
}

// await returns when the interface can be used.
func (c *netCall) await(ctx context.Context) (ifState, error) {
	late := errors.New("no address came")
	limited, cancel := context.WithTimeoutCause(ctx, c.cfg.AddressLimit, late)
	defer cancel()
	for {
		state := c.ground.look(c.cfg.Interface)
		if state.ready() {
			return state, nil
		}
		if pause(limited, lookInterval) {
			continue
		}
		if ctx.Err() != nil {
			return state, context.Cause(ctx)
		}
		e := &Error{Kind: NoAddress, Address: c.cfg.Interface, Temporary: true, Err: fmt.Errorf("after %v", c.cfg.AddressLimit)}
		switch {
		case len(state.addrs) > 0:
			e.Hint = "it has an address but is switched off or has no carrier: check the cable and the terminal"
		case state.up:
			e.Hint = "it is up but nobody gave it an address: check the terminal's DHCP"
		default:
			e.Hint = "it isn't there or is switched off: check the interface's name, the cable and up_command"
		}
		return state, e
	}
}

// pause waits; it says false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// watch tells when the line goes down by itself, and keeps the meter's last
// reading young.
func (c *netCall) watch() {
	if c.cfg.Interface == "" {
		return
	}
	c.mu.Lock()
	h := c.host
	c.mu.Unlock()
	for misses := 0; misses < 2; {
		if !pause(c.life, lookInterval) {
			return
		}
		c.octets()
		state := c.ground.look(c.cfg.Interface)
		misses++
		if state.up && state.has(h.opt.Local[0]) {
			misses = 0
		}
	}
	c.cause = errGone
	c.cfg.Log.Warn("link: line lost", "line", c.cfg.Name, "error", c.cause)
	h.close(fmt.Errorf("line %s: %w", c.cfg.Name, errGone))
	close(c.lost)
}

// octets reads the meter, which forgets nothing that it has read.
func (c *netCall) octets() {
	if c.meter != nil {
		c.meter.total()
	}
}
