package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"outpost/internal/config"
	"outpost/queue"
)

// boxUsers is who gets a box's mail, as the demo's configuration says.
var boxUsers = map[string][]string{"ann": {"ann"}, "ben": {"ben"}, "office": {"ann", "chloe"}}

// verify compares what arrived with what was sent: once each, octet for octet.
func (d *demo) verify() error {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	outside, inside, collected := 0, 0, 0
	for _, l := range d.story.out {
		to := func(local bool) (list []string) {
			for _, a := range l.to {
				if strings.HasSuffix(a, "@"+officeDomain) == local {
					list = append(list, a)
				}
			}
			return list
		}
		for _, a := range to(false) {
			outside++
			if n := d.arrivedOutside(l.text, a); n != 1 {
				fault("the letter of %s to %s reached the smarthost %d times", l.hour, a, n)
			}
		}
		for _, a := range to(true) {
			inside++
			user := strings.Replace(strings.TrimSuffix(a, "@"+officeDomain), "director", "ann", 1)
			if n := d.arrivedInside(l.text, user); n != 1 {
				fault("the letter of %s is %d times in the folder of %s", l.hour, n, user)
			}
		}
	}
	for _, l := range d.story.in {
		for _, user := range boxUsers[l.box] {
			collected++
			if n := d.arrivedInside(l.text, user); n != 1 {
				fault("the letter of %s for box %s is %d times in the folder of %s", l.hour, l.box, n, user)
			}
		}
		if left := len(d.provider.Box(l.box)); left != 0 {
			fault("box %s still holds %d messages", l.box, left)
		}
	}
	if d.modem.Counters().OffHook {
		fault("the modem is off-hook")
	}
	if len(faults) > 0 {
		return fmt.Errorf("the check found:\n  %s", strings.Join(faults, "\n  "))
	}
	fmt.Fprintf(d.out, `
checked: %d letters to the outside reached the smarthost once each, octet for octet
checked: %d letters from boxes and %d between colleagues are in the mail folders, once each, octet for octet
checked: the boxes are empty and the modem is on-hook
`, outside, collected, inside)
	return nil
}

// arrivedOutside counts how often the smarthost has a letter for somebody. On
// the way only a Received line was put on top.
func (d *demo) arrivedOutside(text []byte, to string) (n int) {
	for _, r := range d.provider.Received() {
		for _, a := range r.To {
			if a == to && bytes.HasSuffix(r.Data, text) {
				n++
			}
		}
	}
	return n
}

// arrivedInside counts how often a letter is in a user's Maildir. Line ends are
// compared as CRLF: on disk they are LF.
func (d *demo) arrivedInside(text []byte, user string) (n int) {
	for _, m := range inbox(d.cfg, user) {
		if bytes.HasSuffix(m, text) {
			n++
		}
	}
	return n
}

// inbox reads all messages in a user's Maildir, with CRLF line ends.
func inbox(cfg *config.Config, user string) (messages [][]byte) {
	for _, sub := range []string{"new", "cur"} {
		names, err := filepath.Glob(filepath.Join(cfg.Storage.Dir, "mail", user, sub, "*"))
		if err != nil {
			continue
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				continue // moved by a reader in this moment
			}
			text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
			messages = append(messages, bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")))
		}
	}
	return messages
}

// awaitLocal waits until mail between colleagues has been delivered.
func (d *demo) awaitLocal(ctx context.Context) error {
	return d.await(ctx, func(r queue.Recipient) bool { return r.Where != queue.Local })
}

// awaitDelivery waits until nothing is left to do.
func (d *demo) awaitDelivery(ctx context.Context) error {
	return d.await(ctx, func(queue.Recipient) bool { return false })
}

// await waits until each recipient in the queue is done or needs no waiting.
func (d *demo) await(ctx context.Context, ready func(queue.Recipient) bool) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		messages, err := d.office.queue.List()
		if err != nil {
			return err
		}
		waits := false
		for _, m := range messages {
			for _, r := range m.To {
				waits = waits || r.State != queue.Sent && !ready(r)
			}
		}
		if !waits {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("mail was not delivered in %s: %w", patience, ctx.Err())
		}
	}
}
