package notice

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/queue"
)

// A message that can't be read to its end is reported all the same, without it.
func TestUnreadableOriginal(t *testing.T) {
	d := newDesk(t, nil)
	m := d.add(remote("x@far.example", queue.Failed, "550 no"))
	broken := &original{brokenBody{strings.NewReader(letterText)}}
	if err := d.writer(telling{&m, failed, m.To, moment{now: d.now}}, broken)(io.Discard); !errors.Is(err, errOriginal) {
		t.Errorf("%v", err)
	}
	if err := os.Truncate(filepath.Join(d.dir, "spool", string(m.ID)), 3); err != nil {
		t.Fatal(err)
	}
	if notices := d.tell(); len(notices) != 1 || !strings.Contains(d.text(notices[0]), "550 no") {
		t.Errorf("%+v", notices)
	}
}

// brokenBody fails at the first octet.
type brokenBody struct{ io.ReadSeeker }

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("I/O error") }
