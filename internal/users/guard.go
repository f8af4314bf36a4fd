package users

import (
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
)

// atOnce is how many passwords are hashed at the same time. Each takes the memory that
// its hash says, 19 MiB by default, and whoever can reach a door can ask for it.
const atOnce = 2

// Guard says who may sign in: by the users file, and by the configuration for those
// who have no password there. Its methods may be called from any goroutine.
type Guard struct {
	file       *File
	configured map[string]string
	log        *slog.Logger
	seed       maphash.Seed
	nobody     func() string
	busy       chan struct{}

	mu     sync.Mutex
	stamp  Stamp
	byName map[string]Entry // the users file's
	all    []string         // every hash there is, for those who aren't there
}

// NewGuard reads the users file, and reads it again whenever it has changed. configured
// has hashes by name, for users who have none in the file; nil is none. The log gets what
// is wrong with the file; nil discards.
func NewGuard(file *File, configured map[string]string, log *slog.Logger) *Guard {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	g := &Guard{
		file: file, configured: configured, log: log, seed: maphash.MakeSeed(), busy: make(chan struct{}, atOnce),
		nobody: sync.OnceValue(func() string {
			hash, err := Hash("nobody")
			if err != nil {
				return "" // the comparison fails at once; it would have failed anyway
			}
			return hash
		}),
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read(file.Stamp())
	return g
}

// Admit tells whether the user may sign in with this password. Somebody who isn't
// there, has no password or is disabled takes as long as one who may, so that names
// can't be guessed by the time an answer takes.
func (g *Guard) Admit(name, password string) bool {
	hash, may := g.hashFor(name)
	g.busy <- struct{}{}
	defer func() { <-g.busy }()
	return Verify(hash, password) && may
}

// hashFor gives the hash to compare with, and whether it is the user's. For who has
// none it is that of somebody else, always the same one for a name: hashes of several
// kinds take different times.
func (g *Guard) hashFor(name string) (hash string, may bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.file.Stamp(); !now.Same(g.stamp) {
		g.read(now)
	}
	e := g.byName[name]
	if e.Hash == "" {
		e.Hash = g.configured[name]
	}
	switch {
	case e.Hash != "":
		return e.Hash, !e.Disabled
	case len(g.all) > 0:
		return g.all[maphash.String(g.seed, name)%uint64(len(g.all))], false
	}
	return g.nobody(), false
}

// read takes the file as it is; mu is held. One that can't be read at all leaves things
// as they were: nobody who was disabled gets in by a broken disk.
func (g *Guard) read(now Stamp) {
	list, err := g.file.List()
	if err != nil {
		g.log.Warn("users file", "err", err)
	}
	g.stamp = now
	if err != nil && list == nil && g.byName != nil {
		return
	}
	g.byName, g.all = make(map[string]Entry), nil
	for _, e := range list {
		g.byName[e.Name] = e
		if e.Hash != "" {
			g.all = append(g.all, e.Hash)
		}
	}
	for name, hash := range g.configured {
		if g.byName[name].Hash == "" && hash != "" {
			g.all = append(g.all, hash)
		}
	}
	slices.Sort(g.all)
}
