package route

import (
	"fmt"
	"slices"
	"strings"
)

// box is a Box made ready.
type box struct {
	to    []target
	sayTo string // who they are, for a person
	catch *catchAll
}

// catchAll is a CatchAll made ready.
type catchAll struct {
	domains []string // canonical
	said    string   // for a person
	headers []string
	prefix  string // folded
	ignore  map[address]bool
	toCc    bool
	server  string
	unknown []Place
}

func (t *Table) readBoxes(f *faults) {
	for _, b := range t.opt.Boxes {
		what := fmt.Sprintf("box %q", b.Name)
		if b.Name == "" || t.boxes[b.Name] != nil {
			f.add("%s: the name is empty, or there is another box of that name", what)
			continue
		}
		out := &box{}
		t.boxes[b.Name] = out
		out.to, out.sayTo = t.readPlaces(f, what, b.To)
		if b.CatchAll == nil {
			continue
		}
		if len(b.To) > 0 {
			f.add("%s is a catch-all: name places for mail without a known recipient as its unknown, not as those of the box", what)
		}
		out.catch = t.readCatchAll(f, what, *b.CatchAll)
	}
}

// readPlaces reads where mail goes that stays in the office. Given recipients, there must be
// somebody in the office among them.
func (t *Table) readPlaces(f *faults, what string, list []string) (to []target, said string) {
	var words []string
	bad := false
	for _, text := range list {
		r, err := t.recipient(text)
		switch {
		case err != nil:
			f.add("%s: %w", what, err)
			bad = true
		case r.addr != "":
			f.add("%s: %q is outside the office: only forward in a rule sends mail there", what, text)
			bad = true
		case len(r.names) > 0:
			to = append(to, t.reach(r.names)...)
			words = append(words, t.sayNames(r.names))
		default:
			to = append(to, target{place: r.place})
			words = append(words, t.say(r.place))
		}
	}
	to = distinct(to)
	inside := slices.ContainsFunc(to, func(g target) bool { return g.addr == "" })
	if !bad && len(list) > 0 && !inside {
		f.add("%s: %s has nobody in the office", what, strings.Join(words, " and "))
	}
	return to, strings.Join(words, " and ")
}

func (t *Table) readCatchAll(f *faults, what string, c CatchAll) *catchAll {
	domains := c.Domains
	if len(domains) == 0 {
		domains = t.written
	}
	out := &catchAll{
		said: strings.Join(domains, ", "), headers: c.Headers, prefix: fold(c.Prefix),
		ignore: map[address]bool{}, toCc: c.ToCc, server: c.Server,
	}
	if len(domains) == 0 {
		f.add("%s: the domains that it is a catch-all for must be named", what)
	}
	for _, d := range domains {
		if err := CheckDomain(d); err != nil {
			f.add("%s: %w", what, err)
			continue
		}
		out.domains = append(out.domains, canonicalDomain(d))
	}
	if len(out.headers) == 0 {
		out.headers = DefaultHeaders()
	}
	for _, h := range out.headers {
		if !IsFieldName(h) {
			f.add("%s: %q is not the name of a header field", what, h)
		}
	}
	for _, a := range c.Ignore {
		if err := CheckAddress(a); err != nil {
			f.add("%s: ignored: %w", what, err)
		}
		out.ignore[canonical(a)] = true
	}
	if c.Server != "" && t.names[c.Server].kind != isServer {
		f.add("%s: there is no server %q", what, c.Server)
	}
	unknown := c.Unknown
	if len(unknown) == 0 {
		unknown = []string{t.opt.Unplaced}
	}
	to, _ := t.readPlaces(f, what+": unknown recipients", unknown)
	for _, g := range to {
		if g.addr == "" {
			out.unknown = append(out.unknown, g.place)
		}
	}
	return out
}

// maxNamed is how many addresses in one field of a message are looked up. RFC 5321
// §4.5.3.1.8 asks for 100 recipients of an envelope; a header with many more was made to be a
// burden.
const maxNamed = 200

// named is an address in the header of a message in a catch-all box.
type named struct {
	addr  address  // without the box's prefix
	text  string   // the same as it is written
	names []string // who has it; none: nobody
	place Place    // on the server that takes all, if there is one
}

func (n named) known() bool { return len(n.names) > 0 || n.place.Server != "" }

// read gives the addresses in some fields that the box is for, each once, and whether there
// are more of them than is looked at.
func (t *Table) read(c *catchAll, h Header, fields []string) (list []named, more bool) {
	seen := map[address]bool{}
	for _, field := range fields {
		received := strings.EqualFold(field, "Received")
		for _, v := range h.Values(field) {
			for _, text := range envelope(v, received) {
				n := t.name(c, text)
				if !slices.Contains(c.domains, n.addr.domain) || seen[n.addr] || c.ignore[n.addr] {
					continue
				}
				if seen[n.addr] = true; len(seen) > maxNamed {
					return list, true
				}
				if received && n.known() {
					// Those below are what it was called before, those above nobody's.
					return []named{n}, false
				}
				list = append(list, n)
			}
		}
	}
	return list, false
}

// envelope gives the addresses in the value of a field.
func envelope(value string, received bool) []string {
	if received {
		return []string{receivedFor(value)}
	}
	return addresses(value)
}

// name finds out who has an address that a catch-all box is for.
func (t *Table) name(c *catchAll, text string) named {
	n := named{addr: canonical(text), text: text}
	if c.ignore[n.addr] || !slices.Contains(c.domains, n.addr.domain) {
		return n
	}
	if local, ok := strings.CutPrefix(n.addr.local, c.prefix); ok && local != "" && c.prefix != "" {
		n.addr.local = local
		n.text = n.addr.String()
	}
	if c.server != "" {
		if CheckAddress(n.text) == nil && len(n.text) <= 320 { // RFC 5321 §4.5.3.1: 64, @, 255
			n.place = Place{Server: c.server, Address: n.text}
		}
		return n
	}
	n.names = t.lookup(n.addr)
	if len(n.names) > 0 || t.ours(n.addr.domain) {
		return n
	}
	for _, d := range t.domains {
		for _, name := range t.lookup(address{n.addr.local, d}) {
			if !slices.Contains(n.names, name) {
				n.names = append(n.names, name)
			}
		}
	}
	return n
}

// multidrop finds the recipients of a message in a catch-all box.
func (d *draft) multidrop(name string, c *catchAll) {
	d.say("box %q is a catch-all for %s", name, c.said)
	var tried []string
	for _, field := range c.headers {
		if d.take(c, field, field) {
			return
		}
		tried = append(tried, field)
	}
	if c.toCc { // They have recipients of one message, so they are one.
		if d.take(c, "To or Cc", "To", "Cc") {
			return
		}
		tried = append(tried, "To, Cc")
	}
	d.say("no known recipient in %s: %s", strings.Join(tried, ", "), d.sayAll(c.unknown))
	d.base = append(d.base, c.unknown...)
	d.out.Unplaced = true
}

// take takes the recipients that the fields name, if one of them is known.
func (d *draft) take(c *catchAll, said string, fields ...string) bool {
	list, more := d.t.read(c, d.in.Header, fields)
	const most = 10 // The reasons are for people.
	unknown, known := 0, false
	for _, n := range list {
		d.rcpts = append(d.rcpts, n.text)
		known = known || n.known()
		switch {
		case n.place.Server != "":
			d.say("%s names %s: server %s takes all", said, n.text, c.server)
			d.base = append(d.base, n.place)
		case len(n.names) > 0:
			d.say("%s names %s: %s", said, n.text, d.t.sayNames(n.names))
			d.base = append(d.base, d.inside(d.t.reach(n.names), "")...)
		default:
			if unknown++; unknown <= most {
				d.say("%s names %s: nobody has this address", said, n.text)
			}
		}
	}
	switch {
	case more:
		d.say("%s names more than %d addresses: the others were not looked at", said, maxNamed)
	case unknown > most:
		d.say("%s names %d more that nobody has", said, unknown-most)
	}
	if known && (unknown > 0 || more) {
		d.say("for those that were not found a copy: %s", d.sayAll(c.unknown))
		d.base = append(d.base, c.unknown...)
		d.out.Unplaced = true
	}
	return known
}
