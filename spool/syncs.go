package spool

import (
	"os"
	"sync"
)

// foldersAtOnce are the folders of a Syncs that are fsynced side by side. More at once let fewer share, and files, which can't, go
// slower.
const foldersAtOnce = 2

// Syncs are the fsyncs of many who put files into folders at the same time. Those who come to a folder while it waits for its
// turn share one fsync of it; the more come, the more share it, and a lone one waits for nobody. It is for any goroutine. A
// nil *Syncs shares nothing.
type Syncs struct {
	fileSlots, folderSlots chan struct{}
	// syncFolder is SyncDir, a field so that a test can see it called.
	syncFolder func(string) error

	mu      sync.Mutex
	folders map[string]*folderRounds // those that somebody is at
}

// folderRounds are the fsyncs of one folder.
type folderRounds struct {
	turn  chan struct{} // of capacity 1, full during an fsync: one at a time
	next  *folderRound
	users int // rounds that have not ended
}

type folderRound struct {
	done chan struct{} // closed when it is over
	err  error
}

// NewSyncs makes one.
func NewSyncs() *Syncs {
	return &Syncs{fileSlots: make(chan struct{}, fsyncsAtOnce), folderSlots: make(chan struct{}, foldersAtOnce), syncFolder: SyncDir, folders: make(map[string]*folderRounds)}
}

// File fsyncs a file.
func (s *Syncs) File(f *os.File) error {
	if s != nil {
		s.fileSlots <- struct{}{}
		defer func() { <-s.fileSlots }()
	}
	return f.Sync()
}

// Folder returns when an fsync of the folder that began after the call is over, with its error.
func (s *Syncs) Folder(dir string) error {
	if s == nil {
		return SyncDir(dir)
	}
	r, f, mine := s.join(dir)
	if !mine {
		<-r.done
		return r.err
	}
	f.turn <- struct{}{}
	s.folderSlots <- struct{}{}
	s.mu.Lock()
	f.next = nil // who comes from here on has a round of its own
	s.mu.Unlock()
	r.err = s.syncFolder(dir)
	<-s.folderSlots
	<-f.turn
	close(r.done)

	s.mu.Lock()
	defer s.mu.Unlock()
	if f.users--; f.users == 0 {
		delete(s.folders, dir)
	}
	return r.err
}

// join finds the next round of a folder, or begins it, which makes it the caller's to run.
func (s *Syncs) join(dir string) (r *folderRound, f *folderRounds, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.folders[dir]; f == nil {
		f = &folderRounds{turn: make(chan struct{}, 1)}
		s.folders[dir] = f
	}
	if f.next != nil {
		return f.next, f, false
	}
	f.next = &folderRound{done: make(chan struct{})}
	f.users++
	return f.next, f, true
}
