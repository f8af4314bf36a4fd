// Package route is the office's book: who is who, and where mail goes and why.
//
// It owns users, aliases, shared folders, lists, mail servers of the office, what each box
// at the provider is for, and the manager's rules. It is pure: no disk, no clock, no queue.
// From what is known of a message (the box, the envelope, the header, the size) it makes a
// Decision with its reasons in plain words, which go into the log, into reports, and to
// whoever asks why a message went where it did.
//
// Collected decides on what came from a box:
//
//  1. A message that has been here before is not routed again: it is put aside.
//  2. The box says where its mail goes, or that the header must tell (a catch-all box).
//  3. The rules are looked at in their order.
//  4. Places that are one become one; what has no place goes to the unplaced mailbox.
//
// Office decides on what staff hand in: its places are known (see Expand), and the rules
// may change them.
//
// The invariant: nothing is lost. A decision names a place, or the rule that discards the
// message; and nothing that was collected goes outside unless a rule forwards it.
//
// What the package does not do: it judges no sender (the header says what it likes), finds
// no copies that came through several boxes, and delivers nothing.
package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Table is the office's book, ready to be asked. It doesn't change; its methods may be called
// from any goroutine and never block.
type Table struct {
	opt     Options
	gate    string   // domain of what DeliveredTo gives
	domains []string // canonical
	written []string // the same as they are written
	names   map[string]entity
	owners  map[address][]string // who has the address, in the order of the options
	primary map[string]string    // name -> his first address, as it is written
	targets map[string][]target  // name -> where its mail goes
	boxes   map[string]*box
	rules   []rule
}

// New checks the options and makes the table. The error joins all faults, each naming what
// it is about.
func New(opt Options) (*Table, error) {
	opt.Hostname = cmp.Or(opt.Hostname, "localhost")
	opt.Unplaced = cmp.Or(opt.Unplaced, DefaultUnplaced)
	t := &Table{
		opt: opt, names: map[string]entity{}, owners: map[address][]string{}, primary: map[string]string{},
		targets: map[string][]target{}, boxes: map[string]*box{},
	}
	var f faults
	t.readDomains(&f)
	t.readNames(&f)
	t.readAddresses(&f)
	t.placeUsers(&f)
	t.readLists(&f)
	t.readBoxes(&f)
	t.readRules(&f)
	if err := errors.Join(f...); err != nil {
		return nil, err
	}
	return t, nil
}

// faults are what is wrong with the options.
type faults []error

func (f *faults) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf("route: "+format, args...))
}

func (t *Table) readDomains(f *faults) {
	for _, d := range t.opt.Domains {
		if err := CheckDomain(d); err != nil {
			f.add("%w", err)
			continue
		}
		t.domains, t.written = append(t.domains, canonicalDomain(d)), append(t.written, d)
	}
	// What we write must not look like what a provider writes, whose Delivered-To has a
	// mail domain; and localhost is everybody's name.
	t.gate = canonicalDomain(t.opt.Hostname)
	if slices.Contains(t.domains, t.gate) || !strings.Contains(t.gate, ".") {
		t.gate = "outpost." + t.gate
	}
}

// ours tells whether the domain is the office's. No domain: this host (RFC 5321 §2.3.5).
func (t *Table) ours(domain string) bool { return domain == "" || slices.Contains(t.domains, domain) }

// Address gives the places of an address: users, folders, members of lists in the office. A
// +detail that nobody has is left out (RFC 5233), and the postmaster always has a place. ours:
// the domain is the office's, so that nobody has the address if there are no places.
// Members of a list outside the office are left out: see Expand.
func (t *Table) Address(addr string) (places []string, ours bool) {
	a := canonical(addr)
	for _, g := range t.reach(t.lookup(a)) {
		if g.addr == "" {
			places = append(places, g.place.String())
		}
	}
	return places, t.ours(a.domain)
}

// Target is where mail for an address goes: to a place in the office, or outside.
type Target struct {
	Place string // "" = outside
	Addr  string // the address outside; "" = a place in the office
	List  string // the list that has the address outside as a member; "" = none
}

// Expand is Address for mail that staff hand in: with the members of lists that are outside,
// and an address that isn't the office's is its own target. No targets: nobody in the
// office has this address.
func (t *Table) Expand(addr string) []Target {
	a := canonical(addr)
	names := t.lookup(a)
	if len(names) == 0 && !t.ours(a.domain) {
		return []Target{{Addr: addr}}
	}
	var out []Target
	for _, g := range t.reach(names) {
		if g.addr != "" {
			out = append(out, Target{Addr: g.addr, List: g.list})
			continue
		}
		out = append(out, Target{Place: g.place.String()})
	}
	return out
}

// Sender says which user hands a message in: by his login, or where there is none that is
// a user's, by the envelope's sender. Of several users with that address it is the first.
// An address can be forged, so it proves nothing.
func (t *Table) Sender(user, from string) (User, bool) {
	if u, ok := t.User(user); ok {
		return u, true
	}
	for _, name := range t.lookup(canonical(from)) {
		if u, ok := t.User(name); ok && from != "" {
			return u, true
		}
	}
	return User{}, false
}

// User gives the user of that name.
func (t *Table) User(name string) (User, bool) {
	e := t.names[name]
	if e.kind != isUser {
		return User{}, false
	}
	return t.opt.Users[e.index], true
}

// Folder gives the shared folder of that name.
func (t *Table) Folder(name string) (Folder, bool) {
	e := t.names[name]
	if e.kind != isFolder {
		return Folder{}, false
	}
	return t.opt.Folders[e.index], true
}

// Folders gives the shared folders, in the order of the options.
func (t *Table) Folders() []Folder { return slices.Clone(t.opt.Folders) }

// Mailboxes gives the names of all mailboxes that are here, sorted: of users whose mailbox
// is on no server, of shared folders, and the one for what can't be placed.
func (t *Table) Mailboxes() []string {
	var list []string
	for name := range t.names {
		if t.mailbox(name) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Primary gives somebody's first address, as it is written in the options; "": he has none,
// or there is no such user, folder or list. Where what can't be placed goes is the
// postmaster's, if it has no address else.
func (t *Table) Primary(name string) string { return t.primary[name] }

// Unplaced is the place for what can't be placed, and for the postmaster's mail.
func (t *Table) Unplaced() string { return t.unplaced().String() }

func (t *Table) unplaced() Place { return t.names[t.opt.Unplaced].place }

// Home says where mail goes whose place was right when the message was taken. ok=false: that
// mailbox or server has left the configuration since, and the mail goes to the unplaced
// mailbox. A user who has moved to a server has his mail there.
func (t *Table) Home(place string) (home Place, ok bool) {
	p, err := ParsePlace(place)
	if err == nil {
		p, err = t.known(p)
	}
	if err == nil {
		return p, true
	}
	if e := t.names[p.Mailbox]; e.kind == isUser && p.Mailbox != "" {
		return e.place, true
	}
	return t.unplaced(), false
}

// DeliveredTo is what delivery writes into the Delivered-To field (RFC 9228) of a message
// for the place: an address at this gateway, by which Collected knows a message that has
// been here. It is no address to write to.
func (t *Table) DeliveredTo(place string) string {
	p, err := ParsePlace(place)
	if err != nil {
		return "unknown@" + t.gate
	}
	if p.Server == "" {
		return p.Mailbox + "@" + t.gate
	}
	return serverMark(p) + "@" + t.gate
}

// serverMark is the local part of a Delivered-To for a mailbox on a server.
func serverMark(p Place) string {
	a := canonical(p.Address)
	return p.Server + "+" + strings.Map(func(r rune) rune {
		if r < 'a' && !(r >= '0' && r <= '9') && !strings.ContainsRune("+-.", r) || r > 'z' && r <= 0x7f {
			return '_'
		}
		return r
	}, a.local) + "=" + a.domain
}

// marked tells whether a Delivered-To address is one that we wrote.
func (t *Table) marked(a address) bool {
	if a.domain != t.gate {
		return false
	}
	name, _, _ := strings.Cut(a.local, "+")
	return t.names[name].kind != 0
}
