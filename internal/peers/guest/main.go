//go:build linux

// Command guest is process 1 of the Linux that the tests boot in user mode: it
// makes the kernel ready for PPP, offers a few services over TCP, and runs
// Debian's pppd on serial lines as it is told.
//
// It is told over the terminal /dev/tty1, a line each way for each order:
//
//	start N OPTIONS   a new pppd on /dev/ttySN ok
//	kill N            it is gone, at once      ok
//	counters          TCP's, since the start   ok NAME=COUNT NAME=COUNT ...
//
// An order that fails is answered with "error" and why. In between come lines of
// another kind, "log N TEXT": what pppd says on line N, and how it ended. The first
// line of all is "ok ready", or the error that makes this Linux useless.
//
// Everything else that is said here goes to the kernel's console.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("guest:", err)
	}
	for { // the kernel panics when process 1 ends
		time.Sleep(time.Hour)
	}
}

func run() error {
	if err := mount(); err != nil { // before it there is no terminal
		return err
	}
	tty, err := openTerminal("/dev/tty1")
	if err != nil {
		return err
	}
	c := &control{out: tty}
	if err := cmp.Or(insertModules(), setAddresses(), serve()); err != nil {
		c.say("error", err.Error())
		return err
	}
	c.say("ok", "ready")
	return c.obey(tty)
}

// control is the terminal that orders come from. Safe for any goroutine.
type control struct {
	mu  sync.Mutex
	out io.Writer
}

// say sends one line.
func (c *control) say(kind, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.out, "%s %s\n", kind, text) // nobody else could be told
}

// obey takes orders until there are no more.
func (c *control) obey(in io.Reader) error {
	lines := make(map[string]*line)
	orders := bufio.NewScanner(in)
	for orders.Scan() {
		if orders.Text() == "" {
			continue // to see whether we sleep
		}
		answer, err := c.order(lines, strings.Fields(orders.Text()))
		if err != nil {
			c.say("error", err.Error())
			continue
		}
		c.say("ok", answer)
	}
	return orders.Err()
}

// order does what one order says.
func (c *control) order(lines map[string]*line, words []string) (answer string, err error) {
	if len(words) == 1 && words[0] == "counters" {
		return counters()
	}
	if len(words) < 2 {
		return "", fmt.Errorf("unknown order %q", words)
	}
	number := words[1]
	l := lines[number]
	switch {
	case words[0] == "start" && l == nil:
		if l, err = openLine(c, number); err != nil {
			return "", err
		}
		lines[number] = l
		return "", l.start(words[2:])
	case words[0] == "start":
		return "", l.restart(words[2:])
	case words[0] == "kill" && l != nil:
		return "", l.kill()
	}
	return "", fmt.Errorf("unknown order %q", words)
}
