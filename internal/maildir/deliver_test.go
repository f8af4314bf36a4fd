package maildir

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestUnixLines(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "a\r\nb\r\n": "a\nb\n", "a\nb": "a\nb", "a\rb\r": "a\rb\r", "\r\r\n": "\r\r\n", "a\r\r\r\n\r\n": "a\r\r\r\n\n", "\r\n\r": "\n\r",
	} {
		var b bytes.Buffer
		u := &unixLines{w: bufio.NewWriter(&b)}
		for _, c := range []byte(in) {
			if _, err := u.Write([]byte{c}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(u.end(), u.w.Flush()); err != nil {
			t.Fatal(err)
		}
		virtual := strings.ReplaceAll(strings.ReplaceAll(want, "\r\n", "\n"), "\n", "\r\n")
		if b.String() != want || u.size != int64(len(want)) || u.virtual != int64(len(virtual)) {
			t.Errorf("%q: %q, S=%d, W=%d; want %q, %d, %d", in, b.String(), u.size, u.virtual, want, len(want), len(virtual))
		}
	}
	u := &unixLines{w: bufio.NewWriterSize(failing{}, 16)}
	if _, err := u.Write([]byte(strings.Repeat("x\ry\r\n", 100))); err == nil {
		t.Error("a full disk is not seen")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, iotest.ErrTimeout }

// A path with the signs of a pattern stands for itself.
func TestFindOddPath(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a[b]*")
	if err := os.MkdirAll(filepath.Join(root, ".Sub", "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, ".Sub", "cur", "key.host"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := (Dir{Root: root}).Find("key."); err != nil || got != "key.host" {
		t.Errorf("%q, %v", got, err)
	}
}
