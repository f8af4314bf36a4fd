//go:build !linux

package modemtest

import (
	"errors"
	"runtime"
)

// PTY is only there on Linux; elsewhere use Port.
func (m *Modem) PTY() (name string, err error) {
	return "", errors.New("modemtest: no pseudo-terminal on " + runtime.GOOS)
}
