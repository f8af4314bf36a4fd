//go:build !linux

package link

import "errors"

// ifOctets is known on Linux only: what crosses the connections is counted
// elsewhere.
func ifOctets(string) (up, down int64, err error) { return 0, 0, errors.ErrUnsupported }

// tie is possible on Linux only: elsewhere the connection's own address must do.
func tie(uintptr, string) error { return errors.ErrUnsupported }

// pace is possible on Linux only.
func pace(uintptr, int) error { return errors.ErrUnsupported }

// thrifty is possible on Linux only.
func thrifty(uintptr) error { return errors.ErrUnsupported }

// prompt is possible on Linux only.
func prompt(uintptr) error { return errors.ErrUnsupported }

// segmentSize is asked for on Linux only.
func segmentSize(uintptr) (int, error) { return 0, errors.ErrUnsupported }
