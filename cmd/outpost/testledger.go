package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"outpost/internal/config"
	"outpost/internal/control"
	"outpost/queue"
	"outpost/spool"
)

// ledger opens the place where the call is written down. As long as it is open no
// daemon can start and take the modem. Where no daemon has run yet, or the user may
// not write there, it is one that is thrown away.
func (t *dialTest) ledger(ctx context.Context) (*queue.Queue, func(), error) {
	q, err := t.realLedger(ctx)
	if err == nil {
		t.recorded = true
		return q, func() { _ = q.Close() }, nil
	}
	var busy *exitError
	if errors.As(err, &busy) {
		return nil, nil, err
	}
	fmt.Fprintf(t.err, "the call will not be in the ledger: %v\n", err)
	dir, err := os.MkdirTemp("", "outpost-dial-test")
	if err != nil {
		return nil, nil, err
	}
	q, err = queue.Open(dir, queue.Options{Spool: spool.Options{MinFreeBytes: 1, MinFreeInodes: 1}})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	return q, func() { _ = q.Close(); _ = os.RemoveAll(dir) }, nil
}

// realLedger opens the daemon's. An *exitError: there is a daemon.
func (t *dialTest) realLedger(ctx context.Context) (*queue.Queue, error) {
	busy := &exitError{code: exitFailed, err: errors.New("the daemon is running and has the modem"),
		hint: "stop it for the test, or place a whole call with: outpost connect"}
	if pid, err := daemonPID(t.cfg.Storage.Socket); err == nil && pid != 0 {
		return nil, busy
	}
	if _, err := control.NewClient(t.cfg.Storage.Socket).Status(ctx); err == nil || errors.Is(err, control.ErrSilent) {
		return nil, busy
	}
	q, err := openLedger(t.cfg)
	if errors.Is(err, queue.ErrInUse) {
		return nil, busy
	}
	return q, err
}

// openLedger opens the database of a daemon that isn't running. It makes none: that
// is the daemon's to do, as its user.
func openLedger(cfg *config.Config) (*queue.Queue, error) {
	if _, err := os.Stat(filepath.Join(cfg.Storage.Dir, "outpost.db")); err != nil {
		return nil, err
	}
	return queue.Open(cfg.Storage.Dir, queue.Options{
		Spool: spool.Options{MinFreeBytes: cfg.Storage.MinFreeBytes, MinFreeInodes: cfg.Storage.MinFreeInodes},
	})
}
