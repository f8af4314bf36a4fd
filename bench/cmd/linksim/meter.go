//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// quietLimit is how long is waited for the line to be quiet. A connection that
// is never closed repeats itself for minutes, and a hang-up doesn't wait for it.
const quietLimit = time.Minute

// meter runs the command and does as its signals say.
type meter struct {
	link *link
	opt  options

	mu   sync.Mutex // held while a report is made
	done bool       // hung up
}

// command runs the command to its end and returns its exit code.
func (m *meter) command(ctx context.Context) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	cmd := exec.CommandContext(ctx, m.opt.command[0], m.opt.command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "LINKSIM_FIELD=field", "LINKSIM_ISP=isp",
		"LINKSIM_FIELD_IP="+fieldIP, "LINKSIM_ISP_IP="+ispIP,
		fmt.Sprintf("LINKSIM_PID=%d", os.Getpid()), "LINKSIM_REPORT="+m.opt.report)
	if err := ordinarily(cmd.Start); err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			do := m.hangUp
			if s == syscall.SIGUSR2 {
				do = m.anew
			}
			if err := do(); err != nil {
				fmt.Fprintln(os.Stderr, "linksim: report:", err)
			}
		}
	}()
	return reap(cmd.Process.Pid)
}

// hangUp ends the metered time, once.
func (m *meter) hangUp() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return nil
	}
	m.done = true
	m.awaitQuiet()
	m.link.hangUp()
	return m.write()
}

// anew reports and begins a new report.
func (m *meter) anew() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return nil
	}
	m.awaitQuiet()
	return m.write()
}

// awaitQuiet returns when nothing more can come of what was sent.
func (m *meter) awaitQuiet() {
	for end := time.Now().Add(quietLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if m.link.quietFor(time.Now()) > m.opt.rtt()+200*time.Millisecond {
			return
		}
	}
}

func (m *meter) write() error {
	r := m.link.report()
	r.Preset, r.MTU = m.opt.preset, m.opt.mtu
	return writeReport(m.opt.report, r)
}
