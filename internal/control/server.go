package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"outpost/internal/session"
	"outpost/queue"
)

// headerLimit bounds how long a command may take to say what it wants.
const headerLimit = 10 * time.Second

// Listen makes the socket at path, for its owner only. A socket that a daemon
// left behind when it was killed is replaced; one that answers is an error.
// The caller must hold the lock on the database, so that no second daemon can
// get here.
func Listen(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil { //nolint:noctx // a local socket answers or refuses at once
		_ = c.Close()
		return nil, fmt.Errorf("another outpost answers at %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path) //nolint:noctx // nothing to wait for
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// Serve answers on l until ctx ends.
func Serve(ctx context.Context, l net.Listener, d Daemon) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.Status) })
	mux.HandleFunc("GET /queue", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.Queue) })
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, r *http.Request) {
		limit, err := strconv.Atoi(r.FormValue("limit"))
		if err != nil || limit < 1 {
			http.Error(w, "limit must be a number above 0", http.StatusBadRequest)
			return
		}
		answer(w, func() ([]queue.Call, error) { return d.Calls(limit) })
	})
	mux.HandleFunc("GET /calls/{id}", d.call)
	mux.HandleFunc("GET /held", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.Held) })
	mux.HandleFunc("POST /held/{id}/{decision}", d.decide)
	mux.HandleFunc("POST /connect", d.connect)
	mux.HandleFunc("POST /hangup", d.hangup)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: headerLimit, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer[T any](w http.ResponseWriter, get func() (T, error)) {
	v, err := get()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked has gone
}

// call answers with one row of the ledger.
func (d Daemon) call(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "the number of a call is a number", http.StatusBadRequest)
		return
	}
	row, err := d.Call(id)
	if errors.Is(err, queue.ErrNotFound) {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	answer(w, func() (queue.Call, error) { return row, err })
}

// decide lets a held message go, or not.
func (d Daemon) decide(w http.ResponseWriter, r *http.Request) {
	decision := r.PathValue("decision")
	if decision != "release" && decision != "refuse" {
		http.Error(w, "a held message is released or refused", http.StatusNotFound)
		return
	}
	text, err := d.Decide(r.Context(), r.PathValue("id"), decision == "release")
	if errors.Is(err, queue.ErrNotFound) {
		http.Error(w, "no such message is held", http.StatusNotFound)
		return
	}
	answer(w, func() (string, error) { return text, err })
}

// connect places a call and tells its events while it lasts.
func (d Daemon) connect(w http.ResponseWriter, r *http.Request) {
	reason := cmp.Or(r.FormValue("reason"), "asked for")
	d.stream(w, r, func(ctx context.Context) Line {
		call, err := d.Connect(ctx, reason)
		l := Line{Call: &call}
		if err != nil {
			l.fail(err)
			l.NoCall = errors.Is(err, session.ErrNothingToDo)
		}
		return l
	})
}

func (l *Line) fail(err error) { l.Error, l.Hint = err.Error(), session.Advice(err) }

// stream tells the events of the call, and that somebody is there, until work has
// ended; what work gives is the last line.
func (d Daemon) stream(w http.ResponseWriter, r *http.Request, work func(context.Context) Line) {
	events, stop := d.Events()
	defer stop()
	ended := make(chan Line, 1)
	go func() { ended <- work(r.Context()) }() //nolint:contextcheck // it does: r's
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	say := func(l Line) bool { return enc.Encode(l) == nil && flush.Flush() == nil }
	alive := time.NewTicker(beat)
	defer alive.Stop()
	for {
		select {
		case e := <-events:
			if !say(Line{Event: &e}) {
				return
			}
		case <-alive.C:
			if !say(Line{}) {
				return
			}
		case last := <-ended:
			for drained := false; !drained; {
				select {
				case e := <-events:
					say(Line{Event: &e})
				default:
					drained = true
				}
			}
			say(last)
			return
		case <-r.Context().Done():
			return
		}
	}
}
