// Package control is the local socket between the commands and the running
// daemon: HTTP with JSON over a Unix socket that only its owner can open.
//
//	GET  /status           dispatch.Status and what waits
//	GET  /queue            the messages in the queue
//	GET  /calls?limit=N    the ledger, newest first
//	GET  /calls/ID         one row of it; 0: the newest
//	GET  /held             what waits for a person's decision
//	POST /held/ID/release  lets it go; answers with a sentence
//	POST /held/ID/refuse   doesn't; the same
//	POST /connect?reason=  places a call; answers with one JSON object a line:
//	                       {"event":…} as they happen, {} as a sign of life once a
//	                       second, then {"call":…,"error":…}
//	POST /hangup?by=       ends the call under way and checks every line; answers in
//	                       the same way, the last line being {"hung_up":…,"error":…}
//
// The database is locked while the daemon runs, so this is the only way in. The
// package decides nothing; it passes on.
package control

import (
	"context"
	"time"

	"outpost/internal/dispatch"
	"outpost/internal/session"
	"outpost/queue"
)

// Daemon is what the socket serves.
type Daemon struct {
	Status func() (Status, error)
	Queue  func() ([]queue.Message, error)
	Calls  func(limit int) ([]queue.Call, error)
	Call   func(id uint64) (queue.Call, error) // 0: the newest; queue.ErrNotFound
	Held   func() ([]Held, error)
	// Decide lets a held message go, or not, and says what that means; queue.ErrNotFound.
	Decide  func(ctx context.Context, id string, release bool) (string, error)
	Connect func(ctx context.Context, reason string) (queue.Call, error)
	Hangup  func(ctx context.Context, by string) (HungUp, error)
	Events  func() (events <-chan session.Event, stop func())
}

// Status is the state of the whole office.
type Status struct {
	dispatch.Status
	Waiting      int   `json:"waiting"`       // messages for the smarthost
	WaitingBytes int64 `json:"waiting_bytes"` // their octets
	Undelivered  int   `json:"undelivered"`   // messages not yet in a Maildir
	Failed       int   `json:"failed"`        // messages refused for good, whose sender is yet to be told
	Held         int   `json:"held"`          // messages that wait for a person's decision, here or at the provider
	Decided      int   `json:"decided"`       // messages that the next call brings in from the provider or deletes there, as somebody has decided
	// Damaged is what of the queue can't be read; "": all can.
	Damaged string `json:"damaged,omitempty"`
	// Forecast is what the next call is expected to take.
	Forecast session.Forecast `json:"forecast"`
}

// Held is a message that waits for a person's decision.
type Held struct {
	// ID is what it is called in commands.
	ID string `json:"id"`
	// AtProvider: it stays in its box there. Else it is here, on its way out or in.
	AtProvider bool      `json:"at_provider"`
	Since      time.Time `json:"since"`
	Size       int64     `json:"size"`
	From       string    `json:"from"`
	Subject    string    `json:"subject,omitempty"`
	To         []string  `json:"to"`
	// Why is the reason, or what was decided and isn't done yet.
	Why string `json:"why"`
}

// Line is one line of the answer to /connect and /hangup: an event, a sign of life
// (nothing at all), or the end.
type Line struct {
	Event  *session.Event `json:"event,omitempty"`
	Call   *queue.Call    `json:"call,omitempty"`
	HungUp *HungUp        `json:"hung_up,omitempty"`
	Error  string         `json:"error,omitempty"`
	Hint   string         `json:"hint,omitempty"`
	// NoCall says that no call was needed; Error says why.
	NoCall bool `json:"no_call,omitempty"`
}
