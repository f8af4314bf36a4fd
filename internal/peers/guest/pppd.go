//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// line is a serial line, on which one pppd after another may run.
type line struct {
	control *control
	number  string
	// tty is held open for good. User-mode Linux attaches a line to the machine
	// outside when it is opened first and detaches it when it is closed last; if it
	// is opened again while octets wait outside, it may come up deaf.
	tty   terminal
	pppd  *exec.Cmd
	ended chan struct{} // closed when pppd has ended
}

func openLine(c *control, number string) (*line, error) {
	tty, err := openTerminal("/dev/ttyS" + number)
	if err != nil {
		return nil, err
	}
	return &line{control: c, number: number, tty: tty}, nil
}

// restart replaces a pppd that may still run. It leaves the line to PPP's discipline,
// which would be in the way of the next.
func (l *line) restart(options []string) error {
	if err := l.kill(); err != nil {
		return err
	}
	const plain = 0 // N_TTY
	if err := unix.IoctlSetPointerInt(l.tty.fd, unix.TIOCSETD, plain); err != nil {
		return fmt.Errorf("line discipline: %w", err)
	}
	if err := l.drain(); err != nil {
		return err
	}
	return l.start(options)
}

// drain loses what comes until nothing does, as a line on which nobody listens. If it
// were kept, the terminal's buffer could be full when pppd comes, and the line
// throttled for good: PPP's discipline lifts that only when something arrives.
func (l *line) drain() error {
	const quiet = 50 * time.Millisecond
	buf := make([]byte, 4096)
	for {
		if err := l.tty.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			return err
		}
		_, err := l.tty.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// start starts a pppd. The addresses of both ends hold the line's number, so that the
// lines don't get into each other's way.
func (l *line) start(options []string) error {
	addresses := fmt.Sprintf("10.64.%s.1:10.64.%s.2", l.number, l.number)
	// debug: every packet of the negotiation, in words, on standard output.
	// local: there are no modem signals on a pty.
	pppd := exec.Command("/usr/sbin/pppd", append([]string{
		l.tty.Name(), "nodetach", "local", "debug", "noauth", "noipdefault", addresses, "ms-dns", nameServer.String(),
	}, options...)...)
	out, err := pppd.StdoutPipe()
	if err != nil {
		return err
	}
	pppd.Stderr = pppd.Stdout
	if err := pppd.Start(); err != nil {
		return err
	}
	l.pppd, l.ended = pppd, make(chan struct{})
	go l.watch(pppd, out, l.ended)
	return nil
}

// watch hands on what pppd says, and tells how it ended.
func (l *line) watch(pppd *exec.Cmd, out io.Reader, ended chan<- struct{}) {
	defer close(ended)
	for said := bufio.NewScanner(out); said.Scan(); {
		l.control.say("log "+l.number, said.Text())
	}
	_ = pppd.Wait() // its state says more
	l.control.say("log "+l.number, "pppd ended: "+pppd.ProcessState.String())
}

// kill ends pppd without giving it time to say goodbye.
func (l *line) kill() error {
	if err := l.pppd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-l.ended
	return nil
}
