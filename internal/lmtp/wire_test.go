package lmtp

import (
	"errors"
	"io"
	"net"
	"testing"
)

// What go-smtp gets to see: whole lines of well-formed replies, whatever the pieces.
func TestWire(t *testing.T) {
	for says, want := range map[string]struct {
		seen string
		err  error
	}{
		"250 ok\r\n":                     {"250 ok\r\n", io.EOF},
		"250-a\r\n250-\r\n250 b\r\n":     {"250-a\r\n250-\r\n250 b\r\n", io.EOF},
		"250\r\n354\n":                   {"250 \r\n354 \r\n", io.EOF},
		"250 a\r\n250 b":                 {"250 a\r\n", io.ErrUnexpectedEOF}, // the end may have been another
		"250 a\r\n25":                    {"250 a\r\n", io.ErrUnexpectedEOF},
		"250-a\r\n550 b\r\n":             {"250-a\r\n", errNotMail},
		"250 a\r\n\r\n":                  {"250 a\r\n", errNotMail},
		"250_a\r\n":                      {"", errNotMail},
		"2x0 a\r\n":                      {"", errNotMail},
		"150 a\r\n":                      {"", errNotMail},
		"250 a\r\n550-b\r\n550 c\r\n220": {"250 a\r\n550-b\r\n550 c\r\n", io.ErrUnexpectedEOF},
	} {
		near, far := net.Pipe()
		go func() {
			for _, octet := range []byte(says) {
				_, _ = far.Write([]byte{octet})
			}
			_ = far.Close()
		}()
		w := newWire(near, near, true, false)
		seen, err := io.ReadAll(w)
		if want.err == io.EOF && err == nil {
			err = io.EOF
		}
		if string(seen) != want.seen || !errors.Is(err, want.err) || !errors.Is(w.err, want.err) {
			t.Errorf("%q: %q, %v (%v)", says, seen, err, w.err)
		}
		_ = w.Close()
	}
}

func TestNoHELOForLMTP(t *testing.T) {
	near, _ := net.Pipe()
	w := newWire(near, near, true, false)
	if n, err := w.Write([]byte("HELO x\r\n")); n != 0 || !errors.Is(err, errNotLMTP) || w.spoke {
		t.Error(n, err)
	}
}
