package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
)

// submit hands mail to an SMTP server, one message after the other. It changes
// no octet but the line ends, which SMTP wants as CRLF.
func submit(args []string) error {
	fs := flag.NewFlagSet("submit", flag.ExitOnError)
	address := fs.String("address", "127.0.0.1:2525", "host:port")
	fs.Parse(args)
	dir := fs.Arg(0)
	envelopes, err := os.Open(filepath.Join(dir, "envelopes"))
	if err != nil {
		return err
	}
	defer envelopes.Close()
	c, err := smtp.Dial(*address)
	if err != nil {
		return err
	}
	defer c.Close()
	lines := bufio.NewScanner(envelopes)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 3 {
			return fmt.Errorf("envelopes: %q: want \"file sender recipient...\"", lines.Text())
		}
		if err := send(c, filepath.Join(dir, f[0]), f[1], f[2:]); err != nil {
			return fmt.Errorf("%s: %w", f[0], err)
		}
	}
	return errors.Join(lines.Err(), c.Quit())
}

func send(c *smtp.Client, file, from string, to []string) error {
	msg, err := os.Open(file)
	if err != nil {
		return err
	}
	defer msg.Close()
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, r := range to {
		if err := c.Rcpt(r); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, msg); err != nil {
		return err
	}
	return w.Close()
}
