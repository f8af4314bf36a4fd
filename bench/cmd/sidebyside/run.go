package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// inParallel is how many runs two processors carry without being late. Most of
	// a run is waiting.
	inParallel = 20
	// tries is how often a run is made that the simulator was late in.
	tries = 3
	// grace is how long a run may take to clear away when it is interrupted.
	grace = 10 * time.Second
)

// run measures what is selected and prints the table. It fails if mail of Outpost's
// was lost, doubled or altered; a peer that does so is only told of.
func run(args []string) error {
	fs := flag.NewFlagSet("run", flag.ExitOnError)
	sel := fs.String("select", "", "regular expression for preset/profile/mode/client")
	parallel := fs.Int("parallel", inParallel, "runs at a time")
	results := fs.String("results", "", "file that also gets the result lines")
	fs.Parse(args)
	match, err := regexp.Compile(*sel)
	if err != nil {
		return err
	}
	list := trials(match)
	if len(list) == 0 {
		return fmt.Errorf("nothing matches %q", *sel)
	}
	if err := missing(list); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	h := &hall{bench: filepath.Join(filepath.Dir(self), "..", "bench.sh"), total: len(list), began: time.Now()}
	if *results != "" {
		if h.keep, err = os.Create(*results); err != nil {
			return err
		}
		defer h.keep.Close()
	}
	h.play(ctx, list, *parallel)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	newBoard(h.results).print(os.Stdout)
	return errors.Join(h.faults...)
}

// missing says what the machine lacks, all of it.
func missing(list []trial) error {
	var lacks []error
	if os.Geteuid() != 0 {
		lacks = append(lacks, errors.New("network namespaces are for root only"))
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		lacks = append(lacks, fmt.Errorf("the line is made of TUN interfaces: %w", err))
	}
	needs := []string{"dovecot:dovecot-pop3d", "postfix:postfix", "dnsmasq:dnsmasq-base", "ip:iproute2"}
	for _, t := range list {
		switch t.script {
		case "mpop-msmtp.sh":
			needs = append(needs, "mpop:mpop", "msmtp:msmtp")
		case product:
		default:
			needs = append(needs, "fetchmail:fetchmail")
		}
	}
	seen := make(map[string]bool)
	for _, need := range needs {
		program, pkg, _ := strings.Cut(need, ":")
		if seen[program] {
			continue
		}
		seen[program] = true
		if _, err := exec.LookPath(program); err != nil {
			lacks = append(lacks, fmt.Errorf("%s is not installed (Debian: package %s)", program, pkg))
		}
	}
	return errors.Join(lacks...)
}

// hall is where the trials are held.
type hall struct {
	bench string // bench.sh
	total int
	began time.Time
	keep  *os.File // nil: nowhere

	mu      sync.Mutex
	results []result
	faults  []error
}

// play holds all trials, so many at a time.
func (h *hall) play(ctx context.Context, list []trial, parallel int) {
	next := make(chan trial)
	var players sync.WaitGroup
	for range parallel {
		players.Go(func() {
			for t := range next {
				if r, err := h.trial(ctx, t); ctx.Err() == nil {
					h.note(t, r, err)
				}
			}
		})
	}
	for _, t := range list {
		select {
		case next <- t:
		case <-ctx.Done():
		}
	}
	close(next)
	players.Wait()
}

// trial measures, again if the simulator was late.
func (h *hall) trial(ctx context.Context, t trial) (r result, err error) {
	for range tries {
		if r, err = h.measure(ctx, t); err != nil || !r.late() {
			break
		}
	}
	return r, err
}

// measure runs bench.sh once. Mail that went wrong is no error: the result says so.
func (h *hall) measure(ctx context.Context, t trial) (result, error) {
	cmd := exec.CommandContext(ctx, h.bench, t.profile, t.preset, filepath.Join(filepath.Dir(h.bench), "clients", t.script))
	cmd.Env = append(os.Environ(), t.environment()...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	var r result
	if json.Unmarshal(out.Bytes(), &r) != nil {
		return r, errors.Join(errors.New("no result"), err)
	}
	return r, nil
}

// note keeps a result and shows the progress.
func (h *hall) note(t trial, r result, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total--
	shown := fmt.Sprintf("%.1f s", r.LinkS)
	switch {
	case err != nil:
		shown = err.Error()
		h.faults = append(h.faults, fmt.Errorf("%v: %w", t, err))
	default:
		h.results = append(h.results, r)
		if fault := r.fault(); fault != "" {
			shown = fault
		}
		if t.script == product && !r.OK {
			h.faults = append(h.faults, fmt.Errorf("%v: %s", t, r.fault()))
		}
		if h.keep != nil {
			if err := json.NewEncoder(h.keep).Encode(r); err != nil {
				h.faults = append(h.faults, err)
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%4.0f s  %-42s %s (%d to go)\n", time.Since(h.began).Seconds(), t, shown, h.total)
}
