//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// line is a serial line, on which one pppd after another may run.
type line struct {
	control *control
	number  string
	// tty is held open for good. User-mode Linux attaches a line to the machine
	// outside when it is opened first and detaches it when it is closed last. What
	// came in between would meet a terminal that echoes.
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
// which would be in the way of the next. Nothing may come in until that has taken
// over: a terminal whose buffer is full is throttled, and PPP's discipline doesn't
// lift that.
func (l *line) restart(options []string) error {
	const plain = 0 // N_TTY
	err := l.kill()
	if err == nil {
		err = unix.IoctlSetPointerInt(l.tty.fd, unix.TIOCSETD, plain)
	}
	if err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return l.start(options)
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
