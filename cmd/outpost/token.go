package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// tokenLimit is how long a program may take to print an access token: it may have to ask for one, and a line is waiting.
const tokenLimit = 30 * time.Second

// tokens gives what asks a program for an access token; nil where none is configured. The token is the first line that it prints,
// and is never shown.
func tokens(argv []string) func(context.Context) (string, error) {
	if len(argv) == 0 {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, tokenLimit, fmt.Errorf("not done after %v", tokenLimit))
		defer cancel()
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the operator's own command
		cmd.WaitDelay = time.Second
		var complaint bytes.Buffer
		cmd.Stderr = &complaint
		out, err := cmd.Output()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		token, _, _ := strings.Cut(string(out), "\n")
		token = strings.TrimSpace(token)
		switch {
		case err != nil:
			said, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
			return "", &exitError{err: fmt.Errorf("token_command %s: %w: %.200q", argv[0], err, said), hint: "run it by hand as the user that outpost runs as"}
		case token == "":
			return "", errors.New("token_command printed nothing")
		}
		return token, nil
	}
}
