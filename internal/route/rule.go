package route

import (
	"cmp"
	"fmt"
	"strings"
)

// rule is a Rule made ready.
type rule struct {
	Rule
	name       string // never empty
	label      string // for a person
	conditions []condition
	deliver    []target
	copy       []target
	sayDeliver string
	sayCopy    string
}

// condition tells whether it holds for a message, and what it found, for a person.
type condition func(m *mail) (said string, holds bool)

func (t *Table) readRules(f *faults) {
	seen := map[string]bool{}
	for i, r := range t.opt.Rules {
		out := rule{Rule: r, name: cmp.Or(r.Name, fmt.Sprintf("rule %d", i+1)), label: fmt.Sprintf("rule %d", i+1)}
		if r.Name != "" {
			out.label += fmt.Sprintf(" %q", r.Name)
		}
		if seen[out.name] {
			f.add("%s: there is another rule of that name", out.label)
		}
		seen[out.name] = true
		out.readConditions(t, f)
		out.readActions(t, f)
		t.rules = append(t.rules, out)
	}
}

func (r *rule) readConditions(t *Table, f *faults) {
	switch r.Origin {
	case "":
	case Collected, Office:
		want := r.Origin
		r.add(func(m *mail) (string, bool) { return want, m.origin == want })
	default:
		f.add("%s: origin %q is neither %q nor %q", r.label, r.Origin, Collected, Office)
	}
	r.readBox(t, f)
	r.readAddresses(f, "from", r.From, (*mail).senders)
	r.readAddresses(f, "to", r.To, (*mail).recipients)
	r.readTexts(f, "subject", "Subject", r.Subject)
	r.readTexts(f, "list-id", "List-Id", r.ListID)
	r.readHeader(f)
	r.readSizes(f)
}

func (r *rule) add(c condition) { r.conditions = append(r.conditions, c) }

func (r *rule) readBox(t *Table, f *faults) {
	if len(r.Box) == 0 {
		return
	}
	if r.Origin == Office {
		f.add("%s: mail from the office was in no box", r.label)
	}
	var list []pattern
	names := map[string]bool{}
	for _, name := range r.Box {
		if strings.Contains(name, "*") {
			list = append(list, newPattern("box", name))
			continue
		}
		if t.boxes[name] == nil {
			f.add("%s: there is no box %q", r.label, name)
		}
		names[name] = true
	}
	r.add(func(m *mail) (string, bool) {
		if m.origin != Collected {
			return "", false
		}
		if names[m.in.Box] {
			return "box " + m.in.Box, true
		}
		return first(list, fold(m.in.Box))
	})
}

// first gives the first pattern that holds for a text.
func first(list []pattern, text string) (string, bool) {
	for i := range list {
		if list[i].match(text) {
			return list[i].said, true
		}
	}
	return "", false
}

func (r *rule) readAddresses(f *faults, what string, texts []string, of func(*mail) []address) {
	if len(texts) == 0 {
		return
	}
	var list []addressPattern
	for _, text := range texts {
		p, err := newAddressPattern(what, text)
		if err != nil {
			f.add("%s: %s: %w", r.label, what, err)
			continue
		}
		list = append(list, p)
	}
	r.add(func(m *mail) (string, bool) {
		for _, a := range of(m) {
			for i := range list {
				if list[i].match(a) {
					return list[i].said, true
				}
			}
		}
		return "", false
	})
}

func (r *rule) readTexts(f *faults, what, field string, texts []string) {
	if len(texts) == 0 {
		return
	}
	var list []pattern
	for _, text := range texts {
		if strings.TrimSpace(text) == "" {
			f.add("%s: %s: the text is empty", r.label, what)
		}
		list = append(list, newPattern(what, text))
	}
	r.add(func(m *mail) (string, bool) {
		for _, v := range m.texts(field) {
			if said, ok := first(list, v); ok {
				return said, true
			}
		}
		return "", false
	})
}

func (r *rule) readHeader(f *faults) {
	if len(r.Header) == 0 {
		return
	}
	type part struct {
		field string
		pattern
	}
	var list []part
	for _, text := range r.Header {
		name, value, ok := strings.Cut(text, ":")
		if name = strings.TrimSpace(name); !ok || !IsFieldName(name) {
			f.add("%s: header %q: must be a field's name, a colon, and text", r.label, text)
			continue
		}
		p := part{name, newPattern(name, strings.TrimSpace(value))}
		if strings.TrimSpace(value) == "" {
			p.said = name + " is there"
		}
		list = append(list, p)
	}
	r.add(func(m *mail) (string, bool) {
		for i := range list {
			for _, v := range m.texts(list[i].field) {
				if list[i].match(v) {
					return list[i].said, true
				}
			}
		}
		return "", false
	})
}

func (r *rule) readSizes(f *faults) {
	larger, smaller := r.LargerThan, r.SmallerThan
	if larger < 0 || smaller < 0 || smaller > 0 && larger >= smaller-1 {
		f.add("%s: no message is larger than %d and smaller than %d octets", r.label, larger, smaller)
	}
	if larger > 0 {
		said := fmt.Sprintf("larger than %d octets", larger)
		r.add(func(m *mail) (string, bool) { return said, m.in.Size > larger })
	}
	if smaller > 0 {
		said := fmt.Sprintf("smaller than %d octets", smaller)
		r.add(func(m *mail) (string, bool) { return said, m.in.Size < smaller })
	}
}

func (r *rule) readActions(t *Table, f *faults) {
	r.deliver, r.sayDeliver = t.readPlaces(f, r.label+": deliver to", r.DeliverTo)
	r.copy, r.sayCopy = t.readPlaces(f, r.label+": copy to", r.CopyTo)
	if r.Folder != "" {
		if err := CheckFolder(r.Folder); err != nil {
			f.add("%s: %q: %w", r.label, r.Folder, err)
		}
	}
	for _, a := range r.Forward {
		if err := CheckAddress(a); err != nil {
			f.add("%s: forward: %w", r.label, err)
			continue
		}
		if c := canonical(a); len(t.lookup(c)) > 0 || t.ours(c.domain) {
			f.add("%s: forward: %q is the office's: use copy to", r.label, a)
		}
	}
	other := len(r.DeliverTo)+len(r.CopyTo)+len(r.Forward) > 0 || r.Folder != "" || r.Hold
	switch {
	case r.Discard && other:
		f.add("%s: a rule that discards can do nothing else", r.label)
	case r.Discard && len(r.conditions) == 0:
		f.add("%s: a rule that discards must have a condition", r.label)
	case !r.Discard && !other && !r.Stop:
		f.add("%s does nothing", r.label)
	}
}

// holds tells whether all conditions hold, and which, for a person.
func (r *rule) holds(m *mail) (said string, ok bool) {
	for i, c := range r.conditions {
		s, ok := c(m)
		if !ok {
			return "", false
		}
		if i > 0 {
			said += ", "
		}
		said += s
	}
	return cmp.Or(said, "all mail"), true
}
