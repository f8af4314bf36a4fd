package route

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxHops is how many Received fields a message may have: more is a loop, as smtpd has it
// too. RFC 5321 §6.3 asks for at least 100 before a message is refused; here it isn't, it
// only waits where somebody sees it.
const maxHops = 50

// Incoming is what is known of a message before it has a place.
type Incoming struct {
	// Box is the POP3 box it was in; only for Collected.
	Box string
	// From is the envelope's sender; "": the null reverse-path, or unknown.
	From string
	// Rcpts are the envelope's recipients, as far as they are known. They mean something to
	// rules only.
	Rcpts []string
	// To are the places that it goes to so far; only for Office.
	To     []string
	Header Header
	// Size is that of the whole message in octets.
	Size int64
}

// Forward is an address outside to which a rule sends a message.
type Forward struct {
	Addr string
	Rule string // the rule's name
}

// Decision is where a message goes and why.
type Decision struct {
	// To are the places in the office, each once. Empty only if a rule discards the message,
	// or for mail from staff that had no place in the office.
	To []string
	// Forward are addresses outside that a rule sends the message to, each once.
	Forward []Forward
	// Hold names the rule by which the message waits for a person's decision, To and Forward
	// with it; "": it doesn't wait.
	Hold string
	// Discard names the rule by which the message goes nowhere but to where earlier rules sent
	// copies. It says nothing of the recipients outside to whom staff send. "": none.
	Discard string
	// Unplaced: somebody the message was for could not be found, or it is a loop, and To
	// has the place where somebody looks after such. A rule that says where the message goes
	// has placed it.
	Unplaced bool
	// Reasons say in plain words, in their order, why.
	Reasons []string
}

// Explain says line by line why the message goes where it goes, and where that is.
func (d Decision) Explain() []string {
	lines := slices.Clone(d.Reasons)
	add := func(format string, args ...any) { lines = append(lines, plain(fmt.Sprintf(format, args...))) }
	if d.Hold != "" {
		add("it is held by %s until somebody decides", sayRule(d.Hold))
	}
	if d.Discard != "" {
		add("it is discarded by %s", sayRule(d.Discard))
	}
	if len(d.To) > 0 {
		add("it goes to %s", strings.Join(d.To, ", "))
	}
	for _, f := range d.Forward {
		add("it is forwarded to %s by %s", f.Addr, sayRule(f.Rule))
	}
	return lines
}

// sayRule names a rule for a person; one without a name of its own is "rule N" already.
func sayRule(name string) string {
	if strings.HasPrefix(name, "rule ") {
		return name
	}
	return fmt.Sprintf("rule %q", name)
}

// draft is a decision that is being made.
type draft struct {
	t      *Table
	in     *Incoming
	origin string
	base   []Place // where it goes by itself
	copies []Place // where it goes as well, whatever a later rule says
	rcpts  []string
	out    Decision
}

func (d *draft) say(format string, args ...any) {
	d.out.Reasons = append(d.out.Reasons, plain(fmt.Sprintf(format, args...)))
}

// plain is s fit for a terminal, a log and a note: what a header brought may have anything.
func plain(s string) string {
	const most = 500
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// sayAll names places for a person.
func (d *draft) sayAll(list []Place) string {
	var words []string
	for _, p := range list {
		words = append(words, d.t.say(p))
	}
	return strings.Join(words, " and ")
}

// Collected decides on a message from a box.
func (t *Table) Collected(in Incoming) Decision {
	d := &draft{t: t, in: &in, origin: Collected, rcpts: slices.Clone(in.Rcpts)}
	if why := t.loop(in.Header); why != "" {
		d.say("%s: it goes in circles", why)
		return d.finish()
	}
	if in.Header.Cut {
		d.say("only the first %d octets of its header were looked at", MaxHeader)
	}
	switch b := t.boxes[in.Box]; {
	case b == nil:
		d.say("there is no box %q", in.Box)
	case b.catch != nil:
		d.multidrop(in.Box, b.catch)
	case len(b.to) == 0:
		d.say("box %q has no recipients", in.Box)
	default:
		d.say("box %q is for %s", in.Box, b.sayTo)
		d.base = d.inside(b.to, "")
	}
	if len(d.base) == 0 {
		d.lost()
	}
	d.rules()
	return d.finish()
}

// Office decides on a message that staff hand in: where it goes in the office beside, or
// instead of, the places that it has. The recipients outside are the caller's.
func (t *Table) Office(in Incoming) Decision {
	d := &draft{t: t, in: &in, origin: Office, rcpts: slices.Clone(in.Rcpts)}
	for _, text := range in.To {
		p, ok := t.Home(text)
		if !ok {
			d.say("there is no place %q: %s", text, t.say(p))
			d.out.Unplaced = true
		}
		d.base = append(d.base, p)
	}
	d.rules()
	return d.finish()
}

// loop tells why a message has been here before; "": it hasn't.
func (t *Table) loop(h Header) string {
	if n := h.Count("Received"); n > maxHops {
		return fmt.Sprintf("it has passed %d servers", n)
	}
	for _, text := range h.Addresses("Delivered-To") {
		if t.marked(canonical(text)) {
			return fmt.Sprintf("it has been delivered here, as Delivered-To says (%s)", text)
		}
	}
	return ""
}

// lost puts the message where somebody looks after what can't be placed.
func (d *draft) lost() {
	d.say("%s gets what can't be placed", d.t.say(d.t.unplaced()))
	d.base = append(d.base, d.t.unplaced())
	d.out.Unplaced = true
}

// finish makes the decision of what was found.
func (d *draft) finish() Decision {
	if len(d.base)+len(d.copies) == 0 && d.out.Discard == "" && d.origin == Collected {
		d.lost()
	}
	d.out.To = texts(collapse(slices.Concat(d.base, d.copies)))
	return d.out
}

// inside gives the places among targets. What is outside gets mail from staff, sent by the
// rule if there is one, and never what was collected.
func (d *draft) inside(list []target, rule string) []Place {
	var out []Place
	for _, g := range list {
		switch {
		case g.addr == "":
			out = append(out, g.place)
		case d.origin == Office:
			d.forward(g.addr, rule)
		default:
			d.say("%s on list %s is outside: what was collected stays in the office", g.addr, g.list)
		}
	}
	return out
}

// forward sends the message outside, unless it has been there.
func (d *draft) forward(addr, rule string) {
	a := canonical(addr)
	is := func(text string) bool { return canonical(text) == a }
	switch {
	case is(d.in.From) || slices.ContainsFunc(d.in.Header.Addresses("From"), is):
		d.say("not forwarded to %s, who sent it", addr)
	case slices.ContainsFunc(d.in.Header.Addresses("Delivered-To"), is):
		d.say("not forwarded to %s, where it has been", addr)
	case slices.ContainsFunc(d.out.Forward, func(f Forward) bool { return is(f.Addr) }):
	default:
		d.out.Forward = append(d.out.Forward, Forward{addr, rule})
	}
}

// rules does what the rules say, in their order.
func (d *draft) rules() {
	m := &mail{in: d.in, origin: d.origin, rcpts: d.rcpts}
	for i := range d.t.rules {
		r := &d.t.rules[i]
		if said, ok := r.holds(m); ok && d.apply(r, said) {
			return
		}
	}
}

// apply does what a rule says, and tells whether it is the last one.
func (d *draft) apply(r *rule, because string) (stop bool) {
	var did []string
	stop = r.Stop
	// Staff's mail for outside only is not drawn into the office, but by a copy.
	placed := d.origin == Collected || len(d.base) > 0
	at := len(d.out.Reasons) // The reason stands before what comes of it.
	if len(r.DeliverTo) > 0 && placed {
		d.base, d.out.Unplaced = d.inside(r.deliver, r.name), false
		did, stop = append(did, r.sayDeliver), true
	}
	if r.Folder != "" && placed {
		for i, p := range d.base {
			if p.Server == "" {
				d.base[i] = here(p.Mailbox, r.Folder)
			}
		}
		did = append(did, "into folder "+r.Folder)
	}
	if len(r.CopyTo) > 0 {
		d.copies = append(d.copies, d.inside(r.copy, r.name)...)
		did = append(did, "copy to "+r.sayCopy)
	}
	if len(r.Forward) > 0 {
		for _, a := range r.Forward {
			d.forward(a, r.name)
		}
		did = append(did, "forward to "+strings.Join(r.Forward, " and "))
	}
	if r.Hold && d.out.Hold == "" {
		d.out.Hold = r.name
		did = append(did, "hold")
	}
	switch {
	case r.Discard && d.out.Hold != "":
		did = append(did, "not discarded, because it is held")
	case r.Discard && placed:
		d.base, d.out.Unplaced, d.out.Discard = nil, false, r.name
		did, stop = append(did, "discard"), true
	}
	if stop && r.Stop {
		did = append(did, "no later rule")
	}
	if len(did) > 0 {
		line := plain(fmt.Sprintf("%s (%s): %s", r.label, because, strings.Join(did, ", ")))
		d.out.Reasons = slices.Insert(d.out.Reasons, at, line)
	}
	return stop
}
