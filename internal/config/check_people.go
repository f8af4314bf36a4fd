package config

import (
	"fmt"
	"strings"

	"outpost/internal/route"
	"outpost/internal/users"
)

// book is who is who in the office, for what refers to it.
type book struct {
	// kind says what each name is: a user, folder, list or server. They share one
	// namespace, because a place is written as its name alone.
	kind map[string]string
	// away are the users whose mailbox is on a server.
	away map[string]bool
	// owner says whose an address is, in small letters.
	owner map[string]string
}

// The kinds of names.
const (
	isUser   = "user"
	isFolder = "folder"
	isList   = "list"
	isServer = "server"
)

// where names an entry of a table for a person.
func where(kind string, i int, name string) string {
	if name == "" {
		return fmt.Sprintf("%s %d", kind, i+1)
	}
	return fmt.Sprintf("%s %q", kind, name)
}

func (s OfficeServer) where(i int) string { return where(isServer, i, s.Name) }

// checkNames takes in all names, and wants each once.
func (c *Config) checkNames(f *Faults) *book {
	all := &book{kind: make(map[string]string), away: make(map[string]bool), owner: make(map[string]string)}
	enter := func(kind string, i int, name string) {
		key := where(kind, i, name) + ".name"
		if err := users.CheckName(name); err != nil {
			f.add(key, quote(name), "must be 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit, and no device of Windows: it names a folder")
		} else if other := all.kind[name]; other != "" {
			f.add(key, name, "there is a %s of that name already", other)
		}
		all.kind[name] = kind
	}
	for i, u := range c.Users {
		enter(isUser, i, u.Name)
		all.away[u.Name] = u.ServerName() != ""
	}
	for i, m := range c.Folders {
		enter(isFolder, i, m.Name)
	}
	for i, l := range c.Lists {
		enter(isList, i, l.Name)
	}
	for i, s := range c.Servers {
		enter(isServer, i, s.Name)
	}
	return all
}

func (c *Config) checkPeople(all *book, f *Faults) {
	p := c.Office.Postmaster
	if kind := all.kind[p]; p != "" && kind != isUser && kind != isFolder {
		f.add("office.postmaster", p, "no user and no folder has that name")
	}
	c.ownByName(all)
	for i, u := range c.Users {
		at := where(isUser, i, u.Name)
		c.checkUser(at, u, all, f)
		all.own(f, at, u.Addresses)
	}
	for i, m := range c.Folders {
		at := where(isFolder, i, m.Name)
		all.own(f, at, m.Addresses)
		for key, list := range map[string][]string{"read": m.Read, "write": m.Write} {
			for _, name := range list {
				if name != Everyone && all.kind[name] != isUser {
					f.add(at+"."+key, name, "no user has that name; \"*\" is all of them")
				}
			}
		}
	}
	for i, l := range c.Lists {
		at := where(isList, i, l.Name)
		all.own(f, at, l.Addresses)
		if len(l.Members) == 0 {
			f.add(at+".members", "", "name who gets the list's mail")
		}
		for _, m := range l.Members {
			if strings.Contains(m, "@") && !all.onServer(m) {
				address(f, at+".members", m)
			} else {
				all.place(f, at+".members", m)
			}
		}
	}
	for i, l := range c.Lists { // when all addresses are known
		for _, m := range l.Members {
			if route.CheckAddress(m) == nil && c.ours(m[strings.LastIndexByte(m, '@')+1:]) && !all.has(m) {
				f.add(where(isList, i, l.Name)+".members", m, "nobody in the office has this address")
			}
		}
	}
	if s := c.Delivery.Server; s != "" && all.kind[s] != isServer {
		f.add("delivery.server", s, "no [[server]] has that name")
	}
}

func (c *Config) checkUser(at string, u User, all *book, f *Faults) {
	if u.Password != "" {
		if err := users.CheckHash(u.Password); err != nil {
			f.add(at+".password", "", "%v; make a hash with: outpost passwd", err)
		}
	}
	server := u.ServerName()
	if server != "" && server != c.Delivery.Server && all.kind[server] != isServer {
		f.add(at+".server", server, "no [[server]] has that name")
	}
	if u.ServerAddress != "" {
		address(f, at+".server_address", u.ServerAddress)
		if server == "" {
			f.add(at+".server_address", u.ServerAddress, "needs a server: the mailbox is here")
		}
	}
	if u.Identity != "" {
		address(f, at+".identity", u.Identity)
	}
	if server != "" && u.QuotaBytes != 0 {
		f.add(at+".quota_bytes", "", "has no meaning for a mailbox that is on a server")
	}
	notNegative(f, at+".quota_bytes", u.QuotaBytes)
	notNegative(f, at+".max_out_bytes", u.MaxOutBytes)
	for key, limit := range map[string]*int64{"hold_in_above_bytes": u.HoldInAboveBytes, "hold_out_above_bytes": u.HoldOutAboveBytes} {
		if limit != nil {
			notNegative(f, at+"."+key, *limit)
		}
	}
}

// ownByName takes in the addresses that people have by their name, and lists that are
// given none.
func (c *Config) ownByName(all *book) {
	for _, d := range c.Office.Domains {
		for i, u := range c.Users {
			all.owner[strings.ToLower(u.Name+"@"+d)] = where(isUser, i, u.Name)
		}
		for i, l := range c.Lists {
			if len(l.Addresses) == 0 {
				all.owner[strings.ToLower(l.Name+"@"+d)] = where(isList, i, l.Name)
			}
		}
	}
}

// own takes in the addresses of somebody. One may be in another domain than the
// office's: that of his address at the provider, which then needs no call.
func (b *book) own(f *Faults, whose string, list []string) {
	for _, a := range list {
		key := strings.ToLower(a)
		if other := b.owner[key]; address(f, whose+".addresses", a) && other != "" && other != whose {
			f.add(whose+".addresses", a, "belongs to %s already; for an address of several people make a [[list]]", other)
			continue
		}
		b.owner[key] = whose
	}
}

// has tells whether an address of the office is somebody's, as routes see it: with what follows a + or without, and that of the
// postmaster always.
func (b *book) has(addr string) bool {
	at := strings.LastIndexByte(addr, '@')
	local, domain := strings.ToLower(addr[:at]), strings.ToLower(addr[at:])
	base, _, _ := strings.Cut(local, "+")
	return b.owner[local+domain] != "" || b.owner[base+domain] != "" || base == "postmaster"
}

func (c *Config) checkServers(f *Faults) {
	for i, s := range c.Servers {
		at := s.where(i)
		oneOf(f, at+".kind", s.Kind, ServerLMTP, ServerSMTP)
		s.check(at, f)
		s.checkPassword(at, f)
	}
}
