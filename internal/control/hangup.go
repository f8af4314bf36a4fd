package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"outpost/queue"
)

const (
	// beat is how often a daemon that hangs up says that it is there.
	beat = time.Second
	// silence is how long it may say nothing before it counts as stuck: five beats,
	// as a small computer that writes to a slow card has missed two.
	silence = 5 * time.Second
	// maxBy bounds a name in the ledger that came over the socket.
	maxBy = 64
)

// ErrSilent says that there is a daemon and that it doesn't answer: it hangs, or was
// stopped.
var ErrSilent = fmt.Errorf("the daemon does not answer for %v", silence)

// LineDown is what is known of one line after a hang-up.
type LineDown struct {
	Line string `json:"line"`
	Down bool   `json:"down"` // it was seen on-hook
	// Proof is what was seen, Error why nothing was, Hint what to do about that.
	Proof string `json:"proof,omitempty"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// HungUp is how a hang-up that was asked for ended.
type HungUp struct {
	Call  *queue.Call `json:"call,omitempty"` // the call that was ended; nil: none was under way
	Lines []LineDown  `json:"lines"`          // every line, as it was just seen
}

// hangup ends the call under way and tells its events while that lasts.
func (d Daemon) hangup(w http.ResponseWriter, r *http.Request) {
	by := nameOf(r.FormValue("by"))
	d.stream(w, r, func(ctx context.Context) Line {
		got, err := d.Hangup(ctx, by)
		l := Line{HungUp: &got}
		if err != nil {
			l.fail(err)
		}
		return l
	})
}

// nameOf makes a name fit for the ledger and the log.
func nameOf(by string) string {
	by = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, by)
	if r := []rune(by); len(r) > maxBy {
		by = string(r[:maxBy])
	}
	if by = strings.TrimSpace(by); by == "" {
		return "somebody"
	}
	return by
}

// Hangup asks the daemon to end the call under way and to check every line. It hands
// each event to onLine as it happens and gives the last line. ErrSilent: there is a
// daemon, but no word of it for some seconds.
func (c *Client) Hangup(ctx context.Context, by string, onLine func(Line)) (Line, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(silence, func() { cancel(ErrSilent) })
	defer patience.Stop()
	end, err := c.follow(ctx, "/hangup?by="+url.QueryEscape(by), func(l Line) {
		patience.Reset(silence)
		if l.Event != nil {
			onLine(l)
		}
	})
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrSilent) {
		return Line{}, cause
	}
	return end, err
}

// follow asks for something that takes its time and reads lines until the last.
func (c *Client) follow(ctx context.Context, path string, onLine func(Line)) (Line, error) {
	body, err := c.do(ctx, http.MethodPost, path)
	if err != nil {
		return Line{}, err
	}
	defer body.Close()
	dec := json.NewDecoder(body)
	for {
		var l Line
		if err := dec.Decode(&l); err != nil {
			return Line{}, fmt.Errorf("the daemon went away during the call: %w", err)
		}
		if l.Call != nil || l.HungUp != nil {
			return l, nil
		}
		onLine(l)
	}
}
