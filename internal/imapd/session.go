package imapd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"outpost/internal/clients"
	"outpost/internal/maildir"
)

const (
	// maxLoginFailures is how often a connection may err before it is ended: enough for
	// a mistyped password, tedious for a guesser.
	maxLoginFailures = 3
	// loginDelay is how long a failure is answered later, for the same reason.
	loginDelay = 2 * time.Second
	// idleLook is how often a mailbox is looked at while somebody idles, for what other
	// programs do. What the mailroom delivers shows at once (Server.Changed).
	idleLook = 2 * time.Second
)

// session is one client.
type session struct {
	srv  *Server
	wire *wire
	log  *slog.Logger

	// The library idles in a second goroutine, which may still be ending when the next
	// command runs.
	mu       sync.Mutex
	failures int
	user     string // "" before the login
	view     *view  // nil if nothing is selected
	body     bodyCache
}

var _ interface {
	imapserver.SessionNamespace
	imapserver.SessionMove
	imapserver.SessionAppendLimit
} = (*session)(nil)

// newSession greets a client who is inside TLS.
func (s *Server) newSession(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	w, ok := c.NetConn().(*wire)
	if !ok {
		return nil, nil, fmt.Errorf("imapd: connection of type %T did not come through the hall", c.NetConn())
	}
	s.door.work.Add(1) // until Close
	log := s.opt.Log.With("session", strings.ToLower(rand.Text()[:10]), "client", clients.Addr(w).String())
	return &session{srv: s, wire: w, log: log}, nil, nil
}

// begin starts a command; end must follow when it has no error. A client who was sent
// away gets none done: what he sends may not even be meant as commands.
func (s *session) begin() error {
	s.wire.selects(false)
	s.wire.flush()
	s.wire.conn.commands(+1)
	if s.wire.conn.sentAway() {
		s.wire.conn.commands(-1)
		return errLeaving
	}
	s.mu.Lock()
	return nil
}

func (s *session) end() {
	s.mu.Unlock()
	s.wire.conn.commands(-1)
}

// Close ends the session.
func (s *session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.srv.door.work.Done()
	s.unselect()
	if s.user != "" {
		s.log.Debug("imap logout", "user", s.user)
	}
	return nil
}

// Login is LOGIN and AUTHENTICATE PLAIN, which the library has refused unless it is
// for the user himself. The password goes nowhere else.
func (s *session) Login(login, password string) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	user, ok := s.verify(login, password)
	if !ok || !safeName(user) {
		s.log.Warn("imap login refused", "login", login[:min(len(login), 100)])
		s.failures++
		if s.failures >= maxLoginFailures {
			s.wire.conn.hangUp("Too many failed logins")
		}
		s.srv.pause(loginDelay)
		return imapserver.ErrAuthFailed
	}
	if err := s.moveIn(user); err != nil {
		return s.trouble("login", err)
	}
	s.log.Debug("imap login", "user", user)
	s.user = user
	s.wire.conn.loggedIn()
	return nil
}

// safeName tells whether a user's name can be a folder's.
func safeName(name string) bool {
	return name != "" && len(name) <= 200 && name[0] != '.' && !strings.ContainsAny(name, "/\\:\x00\r\n")
}

// verify waits for one of the places for password checks. The place is given back
// even if the check panics.
func (s *session) verify(login, password string) (user string, ok bool) {
	select {
	case s.srv.auth <- struct{}{}:
	case <-s.srv.ctx.Done():
		return "", false
	}
	defer func() { <-s.srv.auth }()
	return s.srv.opt.Authenticate(login, password)
}

// moveIn makes the folders that mail programs look for, for a user who has not
// subscribed to any yet.
func (s *session) moveIn(user string) error {
	home := s.srv.mailbox(user)
	if names, err := home.Subscriptions(); err != nil || len(names) > 0 {
		return err
	}
	if _, err := maildir.OpenBox(home, maildir.Inbox); err != nil {
		return err
	}
	there, err := home.Folders() // made by rules, before anybody looked
	if err != nil {
		return err
	}
	for _, name := range there {
		if err := home.Subscribe(name, true); err != nil {
			return err
		}
	}
	for _, special := range specialFolders {
		if err := home.Create(special.name); err != nil && !errors.Is(err, maildir.ErrFolderExists) {
			return err
		}
		if err := home.Subscribe(special.name, true); err != nil {
			return err
		}
	}
	return nil
}

// AppendLimit is what the library takes in APPEND (RFC 7889).
func (s *session) AppendLimit() uint32 { return uint32(s.srv.opt.MaxBytes) } //nolint:gosec // bounded by withDefaults

// Poll tells the client what has changed, after each command.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.update(w, allowExpunge)
}

// update is Poll; the caller holds mu. Nothing is written while the mailbox is locked: the
// client may be slow.
func (s *session) update(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.view == nil {
		return nil
	}
	var list []update
	err := s.view.room.with(s.view.take, func(b *maildir.Box) error {
		list = s.view.catchUp(b, allowExpunge)
		return nil
	})
	if err != nil {
		// It is logged, or BYE will follow. The command that went before was done all the same.
		_ = s.trouble("update", err)
	}
	return tell(w, list)
}

// Idle tells the client at once (RFC 2177).
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	look := time.NewTicker(idleLook)
	defer look.Stop()
	for {
		bell, err := s.idleOnce(w)
		if err != nil {
			return err
		}
		select {
		case <-bell:
		case <-look.C:
		case <-stop:
			return nil
		case <-s.srv.ctx.Done():
			return nil
		}
	}
}

// idleOnce tells what there is to tell, and returns what the next change closes; nil if
// nothing is selected.
func (s *session) idleOnce(w *imapserver.UpdateWriter) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil {
		return nil, nil
	}
	bell := s.view.room.listen()
	err := s.update(w, true)
	s.wire.flush()
	if s.wire.conn.sentAway() {
		bell = nil // Nothing more is to be told.
	}
	return bell, err
}

// trouble turns an error into what the client is told. The detail of what isn't
// meant for him is logged. If his mailbox was replaced he must connect again.
func (s *session) trouble(command string, err error) error {
	var own *imap.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errReplaced(err):
		if s.view != nil {
			s.srv.house.forget(s.view.room)
			s.wire.conn.hangUp("The mailbox was removed, renamed or replaced")
		}
		return errNoMailbox
	case errors.Is(err, fs.ErrNotExist):
		return errNoMailbox
	case errors.Is(err, maildir.ErrFolderName):
		return no(imap.ResponseCodeCannot, err.Error())
	case errors.Is(err, maildir.ErrFolderExists):
		return no(imap.ResponseCodeAlreadyExists, "There is a mailbox of that name")
	case errors.Is(err, maildir.ErrSubscriptions):
		return no(imap.ResponseCodeLimit, err.Error())
	case errors.Is(err, maildir.ErrLocked):
		s.log.Warn("imap trouble", "user", s.user, "command", command, "error", err)
		return no(imap.ResponseCodeInUse, "Another program holds the mailbox, try again later")
	case spoolFull(err):
		s.log.Error("imap trouble", "user", s.user, "command", command, "error", err)
		return no(imap.ResponseCodeOverQuota, "The server's disk is full")
	}
	s.log.Error("imap trouble", "user", s.user, "command", command, "error", err)
	return no(imap.ResponseCodeServerBug, "Local error, it is in the server's log")
}
