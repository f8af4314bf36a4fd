package imapd

import (
	"errors"
	"path/filepath"
	"sync"
	"time"

	"outpost/internal/maildir"
)

// keptMessages bounds the memory of mailboxes that nobody has selected, kept for the
// next STATUS: some 200 octets a message.
const keptMessages = 200_000

// house has the folders that are open, one mailbox each, however many look at it.
type house struct {
	mu    sync.Mutex
	rooms map[string]*mailbox // by the folder's path
}

func newHouse() *house { return &house{rooms: map[string]*mailbox{}} }

// mailbox is an open folder, shared by all sessions.
type mailbox struct {
	path   string
	home   maildir.Dir // the Maildir it is in
	folder string

	// The house's, under its mu.
	users int // sessions that have it, for a moment or selected
	last  time.Time
	size  int // messages, when it was used last

	mu  sync.Mutex
	box *maildir.Box // nil before it is open, and when it was replaced on the disk

	news  sync.Mutex
	bell  chan struct{} // closed when something has changed
	stale bool          // something was delivered
}

// folderPath is where a folder lies.
func folderPath(home maildir.Dir, folder string) (string, error) {
	dir, err := home.Folder(folder)
	return filepath.Clean(dir.Root), err
}

// enter gives the mailbox of a folder; leave must follow. It isn't open yet.
func (h *house) enter(home maildir.Dir, folder string) (*mailbox, error) {
	path, err := folderPath(home, folder)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.rooms[path]
	if m == nil {
		m = &mailbox{path: path, home: home, folder: folder, bell: make(chan struct{})}
		h.rooms[path] = m
	}
	m.users++
	return m, nil
}

// leave gives a mailbox back, and forgets those that were not used for longest when
// there are too many.
func (h *house) leave(m *mailbox) {
	m.mu.Lock()
	size := 0
	if m.box != nil {
		size = len(m.box.Mails())
	}
	m.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	m.users--
	m.last, m.size = time.Now(), size
	if m.users > 0 {
		return
	}
	if size == 0 && h.rooms[m.path] == m {
		delete(h.rooms, m.path) // Opened again at no cost.
	}
	h.trim()
}

// trim keeps keptMessages; the caller holds mu.
func (h *house) trim() {
	for {
		sum := 0
		var oldest *mailbox
		for _, m := range h.rooms {
			if m.users > 0 {
				continue
			}
			sum += m.size
			if oldest == nil || m.last.Before(oldest.last) {
				oldest = m
			}
		}
		if sum <= keptMessages {
			return
		}
		delete(h.rooms, oldest.path)
	}
}

// forget makes the house open a folder anew the next time: it was removed, renamed, or
// replaced.
func (h *house) forget(m *mailbox) {
	h.mu.Lock()
	if h.rooms[m.path] == m {
		delete(h.rooms, m.path)
	}
	h.mu.Unlock()
	m.ring(false)
}

// forgetPath is forget for a folder that may be open.
func (h *house) forgetPath(home maildir.Dir, folder string) {
	if m := h.opened(home, folder); m != nil {
		h.forget(m)
	}
}

// changed wakes who looks at a folder.
func (h *house) changed(home maildir.Dir, folder string) {
	if m := h.opened(home, folder); m != nil {
		m.ring(true)
	}
}

// opened is a folder that is in the house already; nil: it isn't, or can't be one.
func (h *house) opened(home maildir.Dir, folder string) *mailbox {
	path, err := folderPath(home, folder)
	if err != nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rooms[path]
}

// ring wakes all who wait for a change.
func (m *mailbox) ring(delivered bool) {
	m.news.Lock()
	defer m.news.Unlock()
	m.stale = m.stale || delivered
	close(m.bell)
	m.bell = make(chan struct{})
}

// listen is the channel that the next change closes.
func (m *mailbox) listen() <-chan struct{} {
	m.news.Lock()
	defer m.news.Unlock()
	return m.bell
}

// with opens the mailbox if it isn't, makes it equal to the disk, and does work on it,
// alone. take moves new mail to cur/. If work changed something, the others are woken.
// When the folder was replaced on the disk the error is maildir.ErrRenumbered, for
// this mailbox from then on.
func (m *mailbox) with(take bool, work func(b *maildir.Box) error) error {
	return m.alone(func() error {
		if err := m.refresh(take); err != nil {
			return err
		}
		return work(m.box)
	})
}

// peek is with for who has just looked at the disk: it doesn't again.
func (m *mailbox) peek(work func(b *maildir.Box) error) error {
	return m.alone(func() error {
		if m.box == nil {
			if err := m.refresh(false); err != nil {
				return err
			}
		}
		return work(m.box)
	})
}

// alone does work under the lock, and wakes the others if it has changed something.
func (m *mailbox) alone(work func() error) error {
	before, after := uint64(0), uint64(0)
	err := func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.box != nil {
			before = m.box.Changes()
		}
		err := work()
		if m.box != nil {
			after = m.box.Changes()
		}
		return err
	}()
	if before != after {
		m.ring(false)
	}
	return err
}

// refresh opens or syncs; the caller holds mu.
func (m *mailbox) refresh(take bool) (err error) {
	if m.box == nil {
		m.box, err = maildir.OpenBox(m.home, m.folder)
		if err != nil {
			m.box = nil
			return err
		}
	}
	m.news.Lock()
	stale := m.stale
	m.stale = false
	m.news.Unlock()
	if stale {
		m.box.StaleNew()
	}
	return m.box.Sync(take)
}

// both does work on two mailboxes, which may be one, alone. They are locked in the
// order of their paths, so that two sessions can't wait for each other.
func both(from, to *mailbox, work func(from, to *maildir.Box) error) error {
	if from == to {
		return from.with(false, func(b *maildir.Box) error { return work(b, b) })
	}
	first, second := from, to
	if first.path > second.path {
		first, second = second, first
	}
	return first.with(false, func(*maildir.Box) error {
		return second.with(false, func(*maildir.Box) error { return work(from.box, to.box) })
	})
}

// errReplaced tells whether a session's mailbox can't be used any more.
func errReplaced(err error) bool { return errors.Is(err, maildir.ErrRenumbered) }
