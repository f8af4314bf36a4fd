package route

import (
	"fmt"
	"strings"
)

// readLists finds where mail for each name goes, lists expanded.
func (t *Table) readLists(f *faults) {
	for _, l := range t.opt.Lists {
		if len(l.Members) == 0 {
			f.add("list %q has no members", l.Name)
		}
		for _, m := range l.Members {
			if _, err := t.recipient(m); err != nil {
				f.add("list %q: %w", l.Name, err)
			}
		}
	}
	for name := range t.names {
		t.targets[name] = distinct(t.expand(nil, name, map[string]bool{}))
	}
}

// recipient is what a text in the options means: some of the office by name or by address,
// a place, or an address outside. One of them is set.
type recipient struct {
	names []string
	place Place
	addr  string
}

// recipient reads the text of a recipient in a list, a box or a rule.
func (t *Table) recipient(text string) (recipient, error) {
	// A slash may stand in an address too.
	before, _, isAddress := strings.Cut(text, "@")
	i := strings.IndexAny(before, "/:")
	if i >= 0 && (t.names[text[:i]].kind != 0 || text[i] == ':' || !isAddress) {
		p, err := ParsePlace(text)
		if err == nil {
			p, err = t.known(p)
		}
		return recipient{place: p}, err
	}
	if !isAddress {
		switch t.names[text].kind {
		case 0:
			return recipient{}, fmt.Errorf("there is no user, folder or list %q", text)
		case isServer:
			return recipient{}, fmt.Errorf("server %q: an address there must be named, as %s:address", text, text)
		default:
			return recipient{names: []string{text}}, nil
		}
	}
	if err := CheckAddress(text); err != nil {
		return recipient{}, err
	}
	a := canonical(text)
	if names := t.lookup(a); len(names) > 0 {
		return recipient{names: names}, nil
	}
	if t.ours(a.domain) {
		return recipient{}, fmt.Errorf("nobody in the office has the address %q", text)
	}
	return recipient{addr: text}, nil
}

// expand adds where mail for a name goes. A list that is being expanded is not begun
// again, which cuts circles.
func (t *Table) expand(out []target, name string, begun map[string]bool) []target {
	e := t.names[name]
	switch {
	case e.kind == isServer || begun[name]:
		return out
	case e.kind != isList:
		return append(out, target{place: e.place})
	}
	begun[name] = true
	for _, m := range t.opt.Lists[e.index].Members {
		r, err := t.recipient(m)
		switch {
		case err != nil: // reported by readLists
		case r.addr != "":
			out = append(out, target{addr: r.addr, list: name})
		case len(r.names) == 0:
			out = append(out, target{place: r.place})
		}
		for _, n := range r.names {
			out = t.expand(out, n, begun)
		}
	}
	return out
}

// reach is where mail for some of the office goes.
func (t *Table) reach(names []string) []target {
	if len(names) == 1 {
		return t.targets[names[0]]
	}
	var out []target
	for _, name := range names {
		out = append(out, t.targets[name]...)
	}
	return distinct(out)
}

// distinct leaves each target once.
func distinct(list []target) []target {
	var places []Place
	for _, g := range list {
		if g.addr == "" {
			places = append(places, g.place)
		}
	}
	var out []target
	for _, p := range collapse(places) {
		out = append(out, target{place: p})
	}
	seen := map[address]bool{}
	for _, g := range list {
		if g.addr != "" && !seen[canonical(g.addr)] {
			seen[canonical(g.addr)] = true
			out = append(out, g)
		}
	}
	return out
}
