package main

// This file wires what happens to mail inside the office.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"time"

	"outpost/internal/config"
	"outpost/internal/control"
	"outpost/internal/imapd"
	"outpost/internal/lmtp"
	"outpost/internal/mailroom"
	"outpost/internal/notice"
	"outpost/internal/pop3"
	"outpost/internal/route"
	"outpost/internal/session"
	"outpost/queue"
	"outpost/spool"
)

// serverDial bounds how long an office server may take to answer a connection: it is near.
const serverDial = 30 * time.Second

func (o *office) newMailroom(step func(string) error) (*mailroom.Mailroom, error) {
	servers, err := officeServers(o.cfg)
	if err != nil {
		return nil, err
	}
	return mailroom.New(mailroom.Options{
		MailDir: o.mailDir(), Table: o.book.table, Servers: servers, Hostname: o.cfg.Office.Name,
		Queue: o.queue, Desk: notice.Desk, Log: o.log, Step: step,
		HoldOut: func(user string) int64 { return holdOut(o.cfg, user, time.Now()) },
		Largest: func() int64 { return o.calls.Largest() },
		Changed: func(mailbox, folder string) { o.imap.Changed(mailbox, folder) },
		Errand:  func(ctx context.Context, errand, by string) error { return o.notices.Answer(ctx, errand, by) },
	})
}

// newIMAP makes the door to the mailboxes that are here.
func (o *office) newIMAP() *imapd.Server {
	return imapd.New(imapd.Options{
		MailDir: o.mailDir(), Hostname: o.cfg.Office.Name, TLS: o.tls, MaxConnections: o.cfg.IMAP.MaxConnections, Log: o.log,
		Authenticate: func(login, password string) (user string, ok bool) {
			user, ok = o.signIn(login, password)
			u, known := o.book.table().User(user)
			return user, ok && known && u.Server == ""
		},
		Shared: o.sharedWith,
		Quota: func(name string) int64 {
			u, _ := o.book.table().User(name)
			return u.Quota
		},
	})
}

// sharedWith are the folders that a user sees. Where what can't be placed has a mailbox of its own, it is the
// manager's to look after.
func (o *office) sharedWith(user string) []imapd.Shared {
	var list []imapd.Shared
	table := o.book.table()
	for _, f := range table.Folders() {
		if f.MayRead(user) {
			list = append(list, imapd.Shared{Name: f.Name, Write: f.MayWrite(user)})
		}
	}
	if own, _ := table.Home(table.Unplaced()); user == o.cfg.Hold.Manager && own.Mailbox != "" && own.Folder == "" {
		_, isUser := table.User(own.Mailbox)
		_, isFolder := table.Folder(own.Mailbox)
		if !isUser && !isFolder {
			list = append(list, imapd.Shared{Name: own.Mailbox, Write: true})
		}
	}
	return list
}

// mailDir is where the mailboxes are.
func (o *office) mailDir() string { return filepath.Join(o.cfg.Storage.Dir, "mail") }

// holdOut is over what size a user's mail to outside waits for the manager.
func holdOut(cfg *config.Config, user string, at time.Time) int64 {
	i := slices.IndexFunc(cfg.Users, func(u config.User) bool { return u.Name == user })
	if i < 0 {
		return cfg.HoldOut(config.User{}, at)
	}
	return cfg.HoldOut(cfg.Users[i], at)
}

func officeServers(cfg *config.Config) (map[string]mailroom.Server, error) {
	servers := make(map[string]mailroom.Server)
	for _, s := range cfg.Servers {
		trust, err := clientTLS(cfg.TLS, s.Server)
		if err != nil {
			return nil, err
		}
		servers[s.Name] = mailroom.Server{
			Dial: func(ctx context.Context) (net.Conn, error) {
				dialer := net.Dialer{Timeout: serverDial}
				return dialer.DialContext(ctx, "tcp", address(s.Server))
			},
			LMTP: lmtp.Options{
				LMTP: s.Kind == config.ServerLMTP, Hello: cfg.Office.Name, TLS: lmtp.TLSMode(s.TLS), TLSConfig: trust,
				User: s.User, Password: s.Password, AllowPlainAuth: s.AllowPlain, Timeout: s.Patience(),
			},
		}
	}
	return servers, nil
}

func (o *office) newNotices() *notice.Notifier {
	opt := notice.Options{
		Queue: o.queue, Hostname: o.cfg.Office.Name, Home: o.mailroom.Home, Address: o.mailroom.Address,
		Has:        o.mailroom.Has,
		Postmaster: o.book.table().Unplaced(), DelayCalls: o.cfg.Bounce.DelayCalls, DelayAfter: o.cfg.Bounce.Delay(),
		GiveUp: o.cfg.Bounce.GiveUp(), GiveUpCalls: o.cfg.Bounce.GiveUpCalls, Call: o.callFor, Log: o.log,
		Now: func() time.Time { return time.Now().In(o.cfg.Schedule.Location()) }, // people's own
	}
	if o.cfg.Hold.Manager != "" {
		home, _ := o.book.table().Home(o.cfg.Hold.Manager)
		opt.Manager = home.String()
	}
	if o.cfg.Smarthost != nil {
		opt.Smarthost = o.cfg.Smarthost.Host
	}
	return notice.New(opt)
}

// callFor places a call that somebody of the office asks for by mail, if he may.
func (o *office) callFor(place string) bool {
	u, known := o.book.table().Owner(place)
	if !known || !u.MayCall {
		return false
	}
	select {
	case o.asked <- u.Name:
	default: // one is asked for already
	}
	return true
}

// callWhenAsked places the calls that are asked for by mail.
func (o *office) callWhenAsked(ctx context.Context) error {
	for {
		select {
		case name := <-o.asked:
			if _, err := o.dispatch.Connect(ctx, name+" asked for it by mail"); err != nil && ctx.Err() == nil {
				o.log.Warn("a call that was asked for by mail", "by", name, "err", session.Explain(err))
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// hold enters a message that stays at the provider, and tells those whom it is for.
func (o *office) hold(ctx context.Context, h session.Held) error {
	to := o.mailroom.For(h.Box, bytes.NewReader(h.Top), h.Size)
	if o.wanted(h, to) {
		return pop3.ErrWanted
	}
	return o.notices.Hold(ctx, notice.Held{
		Account: h.Account, UIDL: h.UIDL, Box: h.Box, Size: h.Size, Print: h.Print, Top: h.Top, Price: notice.Price(h.Price), Expires: h.Expires, To: to,
	})
}

// wanted says that a big message is for somebody who need not wait for it.
func (o *office) wanted(h session.Held, places []string) bool {
	i := slices.IndexFunc(o.cfg.Boxes, func(b config.Box) bool { return b.Name == h.Box })
	var names []string
	for _, place := range places {
		if p, err := route.ParsePlace(place); err == nil && p.Server == "" {
			names = append(names, p.Mailbox)
		}
		if u, ok := o.book.table().Owner(place); ok {
			names = append(names, u.Name)
		}
	}
	return i >= 0 && o.cfg.Wants(o.cfg.Boxes[i], names, h.Size, time.Now())
}

func (o *office) outward(m queue.Message, body io.Reader) (session.Outward, error) {
	look, err := o.mailroom.Outward(m, body)
	return session.Outward(look), err
}

// held lists what waits for a person's decision.
func (o *office) held() ([]control.Held, error) {
	holds, damaged := o.queue.Holds()
	list := make([]control.Held, 0, len(holds))
	for _, h := range holds {
		one := control.Held{ID: h.ID, AtProvider: true, Since: h.Since, Size: h.Size, From: h.From, Subject: h.Subject, To: h.To}
		price := o.calls.Price(h.Size)
		switch {
		case !h.Released.IsZero():
			one.Why = fmt.Sprintf("comes with the next call (%s)", h.By)
		case !h.Dropped.IsZero():
			one.Why = fmt.Sprintf("deleted in the next call (%s)", h.By)
		case price.Line == "":
			one.Why = "big"
		default:
			one.Why = fmt.Sprintf("big: %s of the line, %s now", price.Takes.Round(time.Second), price.Now)
			if price.Later != "" {
				one.Why += fmt.Sprintf(", %s off peak", price.Later)
			}
		}
		list = append(list, one)
	}
	err := o.queue.Each(func(m queue.Message) { list = append(list, heldHere(m)...) })
	for i, h := range list {
		if !h.AtProvider {
			list[i].Subject = o.subjectOf(spool.ID(h.ID))
		}
	}
	return list, o.readable(errors.Join(damaged, err))
}

// heldHere is a message of the queue, if it is held.
func heldHere(m queue.Message) []control.Held {
	h := control.Held{ID: string(m.ID), Since: m.Received, Size: m.Size, From: m.From}
	for _, r := range m.To {
		if r.State == queue.Held {
			h.To, h.Why = append(h.To, r.Addr), r.Reply
		}
	}
	if len(h.To) == 0 {
		return nil
	}
	return []control.Held{h}
}

// decide lets a held message go, or not.
func (o *office) decide(ctx context.Context, id string, release bool) (string, error) {
	if release {
		return o.notices.Release(ctx, id, "")
	}
	return o.notices.Refuse(ctx, id, "")
}

// subjectOf reads a message's subject for people.
func (o *office) subjectOf(id spool.ID) string {
	body, err := o.queue.Body(id)
	if err != nil {
		return ""
	}
	defer body.Close()
	header, err := route.ReadHeader(body)
	if err != nil {
		return ""
	}
	return header.Text("Subject")
}
