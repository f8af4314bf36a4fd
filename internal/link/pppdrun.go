package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"outpost/modem"
)

const (
	// killWait is how long a killed pppd may take to be gone.
	killWait = 2 * time.Second
	// drainWait is how long its log is read after its end: its scripts may hold
	// the other end.
	drainWait = time.Second
	// nameWait is how long the names of name servers may lag behind the address:
	// pppd writes both in one breath.
	nameWait = time.Second
)

// pppdRun is pppd in one call.
type pppdRun struct {
	setup   *pppdSetup
	data    io.ReadWriteCloser // the data phase of the call
	journal *journal
	done    chan struct{} // closed when pppd has ended, and err is set
	err     error
	named   chan struct{} // closed when it has named a name server
	up      chan struct{} // closed when packets flow

	mu      sync.Mutex
	process *os.Process // nil: not started
	log     pppdLog
	cut     error // why the data phase ended, if that came first
	closing bool
	names   map[string]KeptName // from earlier calls; set before it runs
	host    *hostNet
}

func newPPPDRun(setup *pppdSetup, data io.ReadWriteCloser) *pppdRun {
	return &pppdRun{
		setup: setup, data: data, journal: newJournal(append([]string{setup.Modem.PPP.Password}, setup.Modem.Secrets...)...),
		done: make(chan struct{}), named: make(chan struct{}), up: make(chan struct{}),
	}
}

func (r *pppdRun) note(format string, args ...any) {
	r.journal.add("-- ", fmt.Sprintf(format, args...))
}

// Up starts pppd and returns when packets flow.
func (r *pppdRun) Up(ctx context.Context) error {
	remove, err := r.setup.hideSecrets()
	if err != nil {
		return err
	}
	defer remove()
	if err := r.start(ctx); err != nil {
		return err
	}
	select {
	case <-r.up:
		return r.establish()
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// start puts the guard up and runs pppd between two pipes.
func (r *pppdRun) start(ctx context.Context) error {
	program, err := r.setup.program()
	if err != nil {
		return err
	}
	if r.setup.Guard {
		if err := newGuard(r.setup.Modem.Name, r.setup.ifName()).install(ctx); err != nil {
			return err
		}
		r.note("nobody else may send on %s", r.setup.ifName())
	}
	args := r.setup.arguments()
	r.journal.add("> ", program+" "+strings.Join(args, " "))
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // the system's pppd; it is ended in order, by Close
	cmd.Env = pppdEnvironment()
	ownGroup(cmd)
	pipes, err := newPPPDPipes(cmd)
	if err != nil {
		r.unguard() //nolint:contextcheck // it has its own limit, whatever ended ctx
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := pipes.start(cmd); err != nil {
		r.unguard() //nolint:contextcheck // as above
		return pppdFailure(err, pppdLog{}, nil)
	}
	r.process = cmd.Process
	if err := writePID(r.setup.pidFile(), cmd.Process.Pid); err != nil {
		r.note("after a crash this pppd would not be found: %v", err)
	}
	go r.carry(cmd, pipes) //nolint:contextcheck // it lives as long as pppd
	return nil
}

// carry moves octets and lines until pppd has ended.
func (r *pppdRun) carry(cmd *exec.Cmd, p *pppdPipes) {
	go func() { // from the far end to pppd
		_, err := io.Copy(p.in, r.data)
		r.lineEnded(err, p)
	}()
	go func() { // from pppd to the far end
		_, err := io.Copy(r.data, p.out)
		r.lineEnded(err, p)
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := &lineWriter{each: r.hear}
		_, _ = io.Copy(lines, p.log)
		lines.end()
	}()
	ended := cmd.Wait()
	_ = p.log.SetReadDeadline(time.Now().Add(drainWait))
	<-read
	p.close()
	r.conclude(ended)
}

// lineEnded notes that the data phase ended first: that is why the call does.
// Connections needn't wait until pppd has noticed, and pppd is told: it doesn't
// take the end of what it reads for a hang-up. Its goodbye then meets a pipe that
// is closed, and it ends at once.
func (r *pppdRun) lineEnded(err error, p *pppdPipes) {
	if !errors.Is(err, modem.ErrCarrierLost) {
		return // pppd has ended, or Close has come
	}
	r.mu.Lock()
	first := r.cut == nil
	if first {
		r.cut = err
	}
	h, process := r.host, r.process
	r.mu.Unlock()
	if h != nil {
		h.close(err)
	}
	_ = p.in.Close()
	_ = p.out.Close()
	if first {
		r.end(process, false)
	}
}

// hear takes a line of pppd's log.
func (r *pppdRun) hear(line string) {
	r.journal.add("< ", line)
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.log
	r.log.note(line)
	if r.log.up && !before.up {
		close(r.up)
	}
	if len(r.log.dns) > 0 && len(before.dns) == 0 {
		close(r.named)
	}
}

// conclude says how pppd ended, and tidies up after it.
func (r *pppdRun) conclude(ended error) {
	r.unguard()
	_ = os.Remove(r.setup.pidFile())
	r.mu.Lock()
	switch {
	case r.closing:
		r.err = ErrClosed
	default:
		r.err = pppdFailure(ended, r.log, r.cut)
	}
	h := r.host
	r.mu.Unlock()
	if h != nil {
		h.close(r.err)
	}
	close(r.done)
}

func (r *pppdRun) unguard() {
	if !r.setup.Guard {
		return
	}
	if err := newGuard(r.setup.Modem.Name, r.setup.ifName()).remove(context.Background()); err != nil {
		r.note("the guard stays: %v", err)
		r.setup.Modem.Log.Warn("link: the guard stays", "line", r.setup.Modem.Name, "error", err)
	}
}

// establish makes the way through the interface that pppd has brought up.
func (r *pppdRun) establish() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	iface := r.log.iface
	if r.setup.Guard && iface != r.setup.ifName() {
		return &PPPDError{Code: -1, Err: fmt.Errorf("pppd got %s instead of %s, which the guard is for", iface, r.setup.ifName()),
			Hint: "another program has that interface: choose another unit"}
	}
	if !r.log.local.IsValid() || iface == "" {
		return &PPPDError{Code: -1, Err: errors.New("pppd says that it is up but not where"), Hint: "take out of its options what makes it say less"}
	}
	if !r.setup.DefaultRoute {
		r.takeReplies(iface)
	}
	cfg := r.setup.Modem
	r.host = newHostNet(hostOptions{
		Interface: iface, Local: []netip.Addr{r.log.local}, Strict: !r.setup.DefaultRoute, Servers: r.servers,
		Pace: cfg.Rate / bitsPerOctet, Late: lateAnswer(cfg.Rate, cfg.RTT), Wait: tune(cfg.Rate, cfg.RTT).connectWait, Names: r.names,
		Note: func(text string) { r.note("%s", text) },
	})
	select {
	case <-r.done: // it has ended meanwhile, and didn't know of host
		r.host.close(r.err)
	default:
	}
	if r.cut != nil {
		r.host.close(r.cut)
	}
	return nil
}

// servers are the provider's name servers.
func (r *pppdRun) servers(ctx context.Context) []netip.Addr {
	late := time.NewTimer(nameWait)
	defer late.Stop()
	select {
	case <-r.named:
	case <-late.C:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.dns
}

// network is the way through the line; nil: it isn't up yet.
func (r *pppdRun) network() *hostNet {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.host
}

// Done is closed when pppd has ended.
func (r *pppdRun) Done() <-chan struct{} { return r.done }

// Err is nil while it runs, then why it ended: a *PPPDError, or ErrClosed after
// Close.
func (r *pppdRun) Err() error {
	select {
	case <-r.done:
		return r.err
	default:
		return nil
	}
}

// Close ends connections at once, then pppd: asked to, it says goodbye to the far
// end, until ctx ends; then it is killed. The error says that it lives on.
func (r *pppdRun) Close(ctx context.Context) error {
	defer r.data.Close()
	r.mu.Lock()
	r.closing = true
	h, process := r.host, r.process
	r.mu.Unlock()
	if h != nil {
		h.close(ErrClosed)
	}
	if process == nil {
		return nil
	}
	r.end(process, false)
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
	}
	r.end(process, true)
	// Where it may not be killed, being root's, the end of its line is its end.
	_ = r.data.Close()
	limit := time.NewTimer(killWait)
	defer limit.Stop()
	select {
	case <-r.done:
		return nil
	case <-limit.C:
		return fmt.Errorf("link: pppd (process %d) doesn't end", process.Pid)
	}
}

// end asks pppd to end, or makes it and all that it has started.
func (r *pppdRun) end(process *os.Process, force bool) {
	var err error
	if force {
		err = endGroup(process, true)
	} else {
		err = process.Signal(os.Interrupt)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.note("ending pppd: %v", err)
	}
}

// takeReplies lets answers come in on an interface that no route leads to, which
// a strict kernel drops (rp_filter; Linux's ip-sysctl).
func (r *pppdRun) takeReplies(iface string) {
	const conf = "/proc/sys/net/ipv4/conf/"
	_ = os.WriteFile(conf+iface+"/rp_filter", []byte("0"), 0o644) //nolint:gosec // the kernel's own
	for _, name := range []string{iface, "all"} {
		if text, err := os.ReadFile(conf + name + "/rp_filter"); err == nil && strings.TrimSpace(string(text)) != "0" {
			r.note("the kernel may drop answers: net.ipv4.conf.%s.rp_filter is %s; with default_route it doesn't", name, strings.TrimSpace(string(text)))
		}
	}
}
