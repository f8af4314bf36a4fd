package session

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
)

// Explain gives an error with the advice that it carries, in one line for a
// person.
func Explain(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if advice := Advice(err); advice != "" {
		text += " (" + advice + ")"
	}
	return text
}

// Advice gives what a person can do about an error, "" when it doesn't say.
func Advice(err error) string {
	var advised interface{ Advice() string }
	if errors.As(err, &advised) {
		return advised.Advice()
	}
	return ""
}

// Safely runs f and turns a panic in it into an error, with the stack in the log,
// so that a line comes down and the rest of the work goes on.
func Safely(log *slog.Logger, what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal fault: %v", p)
			log.Error("panic", "in", what, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	return f()
}
