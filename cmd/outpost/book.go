package main

import (
	"log/slog"
	"slices"
	"sync"

	"outpost/internal/config"
	"outpost/internal/route"
	"outpost/internal/users"
)

// book is the office's table of people and routes. It follows the users file: who is added
// there has a mailbox from the next message on.
type book struct {
	cfg  *config.Config
	file *users.File
	log  *slog.Logger

	mu    sync.Mutex
	stamp users.Stamp // of the users file that the table was made with
	names []string
	made  *route.Table
}

func newBook(cfg *config.Config, log *slog.Logger) (*book, error) {
	b := &book{cfg: cfg, file: users.Open(cfg.Storage.UsersFile), log: log}
	b.stamp = b.file.Stamp()
	for _, u := range cfg.Users {
		if u.FromUsersFile {
			b.names = append(b.names, u.Name)
		}
	}
	var err error
	b.made, err = route.New(routeOptions(cfg, cfg.Users))
	return b, err
}

// table is the table of this moment. It may be called from any goroutine.
func (b *book) table() *route.Table {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.file.Stamp()
	if now.Same(b.stamp) {
		return b.made
	}
	b.stamp = now
	list, err := b.file.List()
	if err != nil {
		b.log.Error("the users file can't be read; people are who they were", "error", err)
		return b.made
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	if slices.Equal(names, b.names) {
		return b.made // a password, no more
	}
	made, err := route.New(routeOptions(b.cfg, b.cfg.UsersWith(names)))
	if err != nil {
		b.log.Error("the users file doesn't go with the configuration; people are who they were", "error", err)
		return b.made
	}
	b.log.Info("people have changed", "users", names)
	b.names, b.made = names, made
	return made
}

// routeOptions are who is who, and where mail goes.
func routeOptions(cfg *config.Config, people []config.User) route.Options {
	opt := route.Options{Hostname: cfg.Office.Name, Domains: cfg.Office.Domains, Unplaced: cfg.Office.Postmaster}
	for _, u := range people {
		opt.Users = append(opt.Users, route.User{
			Name: u.Name, Addresses: u.Addresses, Server: u.ServerName(), ServerAddress: u.ServerAddress,
			Internal: u.Internal(), MayCall: u.Calls(), MaxOut: u.MaxOutBytes, Identity: u.Identity, Quota: u.QuotaBytes,
		})
	}
	for _, f := range cfg.Folders {
		opt.Folders = append(opt.Folders, route.Folder{Name: f.Name, Addresses: f.Addresses, Read: f.Read, Write: f.Write})
	}
	for _, l := range cfg.Lists {
		opt.Lists = append(opt.Lists, route.List{Name: l.Name, Addresses: l.Addresses, Members: l.Members})
	}
	for _, s := range cfg.Servers {
		opt.Servers = append(opt.Servers, route.Server{Name: s.Name})
	}
	for _, b := range cfg.Boxes {
		box := route.Box{Name: b.Name, To: b.DeliverTo}
		if c := b.CatchAll; c != nil {
			box.CatchAll = &route.CatchAll{
				Domains: c.Domains, Headers: c.Headers, Prefix: c.Prefix, Ignore: c.Ignore, ToCc: c.ToCc, Server: c.Server, Unknown: c.Unknown,
			}
		}
		opt.Boxes = append(opt.Boxes, box)
	}
	for _, r := range cfg.Rules {
		opt.Rules = append(opt.Rules, route.Rule{
			Name: r.Name, Origin: r.Origin, Box: r.Box, From: r.From, To: r.To, Subject: r.Subject, ListID: r.ListID, Header: r.Header,
			LargerThan: r.LargerThanBytes, SmallerThan: r.SmallerThanBytes,
			DeliverTo: r.DeliverTo, CopyTo: r.CopyTo, Folder: r.Folder, Hold: r.Hold, Forward: r.Forward, Discard: r.Discard, Stop: r.Stop,
		})
	}
	return opt
}
