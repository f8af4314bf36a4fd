package route

import (
	"fmt"
	"slices"
	"strings"
)

// kind is what a name in the office stands for.
type kind int

const (
	isUser kind = iota + 1
	isFolder
	isList
	isServer
	isMailbox // the unplaced mailbox, when it is nobody's
)

func (k kind) String() string {
	return [...]string{"nobody", "user", "folder", "list", "server", "mailbox"}[k]
}

// entity is who has a name.
type entity struct {
	kind  kind
	index int   // in the options
	place Place // of all but lists and servers
}

// target is where mail goes: a place, or an address outside with the list that has it.
type target struct {
	place Place
	addr  string
	list  string
}

func (t *Table) readNames(f *faults) {
	enter := func(k kind, i int, name string) {
		if err := CheckName(name); err != nil {
			f.add("%v %w", k, err)
			return
		}
		if other := t.names[name].kind; other != 0 {
			f.add("%v %q: there is a %v of that name already", k, name, other)
			return
		}
		t.names[name] = entity{kind: k, index: i, place: Place{Mailbox: name}}
	}
	for i := range t.opt.Users {
		enter(isUser, i, t.opt.Users[i].Name)
	}
	for i := range t.opt.Folders {
		enter(isFolder, i, t.opt.Folders[i].Name)
	}
	for i := range t.opt.Lists {
		enter(isList, i, t.opt.Lists[i].Name)
	}
	for i := range t.opt.Servers {
		enter(isServer, i, t.opt.Servers[i].Name)
	}
	switch k := t.names[t.opt.Unplaced].kind; k {
	case 0:
		enter(isMailbox, 0, t.opt.Unplaced)
	case isList, isServer:
		f.add("unplaced mail: %q is a %v, it must be a mailbox", t.opt.Unplaced, k)
	default:
	}
}

func (t *Table) readAddresses(f *faults) {
	for _, u := range t.opt.Users {
		t.readAddressesOf(f, isUser, u.Name, append([]string{u.Name}, u.Addresses...))
	}
	for _, d := range t.opt.Folders {
		t.readAddressesOf(f, isFolder, d.Name, d.Addresses)
		for _, user := range slices.Concat(d.Read, d.Write) {
			if user != "*" && t.names[user].kind != isUser {
				f.add("folder %q: there is no user %q to read or write it", d.Name, user)
			}
		}
	}
	for _, l := range t.opt.Lists {
		list := l.Addresses
		if len(list) == 0 {
			list = []string{l.Name}
		}
		t.readAddressesOf(f, isList, l.Name, list)
	}
	// What goes out in the office's name needs an address that can be answered.
	if t.primary[t.opt.Unplaced] == "" && len(t.written) > 0 {
		t.primary[t.opt.Unplaced] = "postmaster@" + t.written[0]
	}
}

// readAddressesOf enters somebody's addresses. The first one is his primary.
func (t *Table) readAddressesOf(f *faults, k kind, name string, list []string) {
	for _, a := range list {
		full := []string{a}
		if !strings.Contains(a, "@") {
			full = nil
			for _, d := range t.written {
				full = append(full, a+"@"+d)
			}
		}
		for _, a := range full {
			if err := CheckAddress(a); err != nil {
				f.add("%v %q: %w", k, name, err)
				continue
			}
			key := canonical(a)
			if !slices.Contains(t.owners[key], name) {
				t.owners[key] = append(t.owners[key], name)
			}
			if t.primary[name] == "" {
				t.primary[name] = a
			}
		}
	}
}

// placeUsers checks what else is said of users and finds the place of those who have their
// mailbox on a server.
func (t *Table) placeUsers(f *faults) {
	for _, u := range t.opt.Users {
		if u.MaxOut < 0 || u.Quota < 0 {
			f.add("user %q: a number of octets is less than 0", u.Name)
		}
		if u.Identity != "" {
			if err := CheckAddress(u.Identity); err != nil {
				f.add("user %q: identity: %w", u.Name, err)
			}
		}
		if u.Server == "" {
			if u.ServerAddress != "" {
				f.add("user %q: there is an address on a server, but no server", u.Name)
			}
			continue
		}
		p := Place{Server: u.Server, Address: u.ServerAddress}
		if p.Address == "" {
			p.Address = t.primary[u.Name]
		}
		if err := CheckAddress(p.Address); err != nil {
			f.add("user %q: on server %q: %w", u.Name, u.Server, err)
		}
		if t.names[u.Server].kind != isServer {
			f.add("user %q: there is no server %q", u.Name, u.Server)
		}
		if e := t.names[u.Name]; e.kind == isUser {
			e.place = p
			t.names[u.Name] = e
		}
	}
}

// lookup finds who has an address: the address itself, then without its +detail (RFC
// 5233), then the postmaster's.
func (t *Table) lookup(a address) []string {
	if names := t.owners[a]; len(names) > 0 {
		return names
	}
	if base, _, ok := strings.Cut(a.local, "+"); ok && base != "" {
		return t.lookup(address{base, a.domain})
	}
	// RFC 5321 §4.5.1: mail for the postmaster must always find somebody; without a
	// domain (§2.3.5) it is meant for this host.
	if a.local == "postmaster" && (t.ours(a.domain) || a.domain == canonicalDomain(t.opt.Hostname)) {
		return []string{t.opt.Unplaced}
	}
	return nil
}

// mailbox tells whether the name is a mailbox that is here.
func (t *Table) mailbox(name string) bool {
	e := t.names[name]
	return e.kind != 0 && e.kind != isList && e.kind != isServer && e.place.Server == ""
}

// known checks that there is such a place.
func (t *Table) known(p Place) (Place, error) {
	if p.Server != "" {
		if t.names[p.Server].kind != isServer {
			return p, fmt.Errorf("there is no server %q", p.Server)
		}
		return p, nil
	}
	e := t.names[p.Mailbox]
	switch {
	case e.kind == 0 || e.kind == isList || e.kind == isServer:
		return p, fmt.Errorf("there is no user or folder %q", p.Mailbox)
	case p.Folder == "":
		return e.place, nil
	case e.place.Server != "":
		return p, fmt.Errorf("%q: the mailbox of %s is on server %q, so no folder in it can be named", p, p.Mailbox, e.place.Server)
	}
	return p, nil
}

// say names a place for a person.
func (t *Table) say(p Place) string {
	if p.Server != "" {
		return fmt.Sprintf("%s on server %s", p.Address, p.Server)
	}
	k := t.names[p.Mailbox].kind
	switch {
	case p.Folder == "":
		return k.String() + " " + p.Mailbox
	case k == isUser:
		return fmt.Sprintf("user %s, folder %s", p.Mailbox, p.Folder)
	}
	return k.String() + " " + p.String()
}

// sayNames names some of the office for a person.
func (t *Table) sayNames(names []string) string {
	var list []string
	for _, name := range names {
		e := t.names[name]
		text := e.kind.String() + " " + name
		if e.place.Server != "" {
			text += " (on server " + e.place.Server + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, " and ")
}
