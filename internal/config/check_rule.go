package config

import (
	"fmt"
	"slices"
	"strings"
)

func (c *Config) checkHold(all *book, f *Faults) {
	h := c.Hold
	notNegative(f, "hold.in_above_bytes", h.InAboveBytes)
	notNegative(f, "hold.out_above_bytes", h.OutAboveBytes)
	between(f, "hold.expire_days", h.ExpireDays, 0, maxDays)
	between(f, "hold.note_lines", h.NoteLines, 1, 100)
	if m := h.Manager; m != "" && m != c.Office.Postmaster && all.kind[m] != isUser {
		f.add("hold.manager", m, "no user has that name")
	}
	for i, b := range h.Hours {
		at := fmt.Sprintf("hold.hours %d", i+1)
		hours(f, at, b.Days, b.From, b.To)
		if b.InAboveBytes == nil && b.OutAboveBytes == nil {
			f.add(at, "", "says nothing: give in_above_bytes or out_above_bytes")
		}
		for key, limit := range map[string]*int64{"in_above_bytes": b.InAboveBytes, "out_above_bytes": b.OutAboveBytes} {
			if limit != nil {
				notNegative(f, at+"."+key, *limit)
			}
		}
	}
}

func (c *Config) checkBounce(f *Faults) {
	between(f, "bounce.delay_calls", c.Bounce.DelayCalls, 0, 10000)
	between(f, "bounce.delay_hours", c.Bounce.DelayHours, 0, maxHours)
	between(f, "bounce.give_up_days", c.Bounce.GiveUpDays, 0, maxDays)
	between(f, "bounce.give_up_calls", c.Bounce.GiveUpCalls, 0, 10000)
}

func (c *Config) checkRules(all *book, f *Faults) {
	known := make(map[string]bool)
	for i, r := range c.Rules {
		at := where("rule", i, r.Name)
		if known[r.Name] {
			f.add(at+".name", r.Name, "there is a rule of that name already")
		}
		known[r.Name] = r.Name != ""
		r.checkConditions(at, c.Boxes, f)
		r.checkActions(at, all, f)
		for _, a := range r.Forward {
			if address(f, at+".forward", a) && (all.owner[strings.ToLower(a)] != "" || c.ours(a[strings.LastIndexByte(a, '@')+1:])) {
				f.add(at+".forward", a, "is in the office; use deliver_to or copy_to")
			}
		}
	}
}

func (r Rule) checkConditions(at string, boxes []Box, f *Faults) {
	if r.Origin != "" {
		oneOf(f, at+".origin", r.Origin, OriginCollected, OriginOffice)
	}
	for _, name := range r.Box {
		if !strings.Contains(name, "*") && !slices.ContainsFunc(boxes, func(b Box) bool { return b.Name == name }) {
			f.add(at+".box", name, "no box has that name")
		}
	}
	if len(r.Box) > 0 && r.Origin == OriginOffice {
		f.add(at+".box", "", "never holds with origin = \"office\": mail of the office comes from no box")
	}
	for key, list := range map[string][]string{"from": r.From, "to": r.To, "subject": r.Subject, "list_id": r.ListID, "header": r.Header} {
		for _, text := range list {
			if strings.TrimSpace(text) == "" {
				f.add(at+"."+key, "", "has an empty text; \"*\" stands for anything")
			} else if key == "from" || key == "to" {
				addressPattern(f, at+"."+key, text)
			}
		}
	}
	for _, h := range r.Header {
		name, _, ok := strings.Cut(h, ":")
		if !ok {
			f.add(at+".header", quote(h), "must be \"Name: pattern\"")
			continue
		}
		headerName(f, at+".header", name)
	}
	notNegative(f, at+".larger_than_bytes", r.LargerThanBytes)
	notNegative(f, at+".smaller_than_bytes", r.SmallerThanBytes)
	if r.SmallerThanBytes > 0 && r.LargerThanBytes >= r.SmallerThanBytes-1 {
		f.add(at+".larger_than_bytes", "", "no message is larger than %d and smaller than %d octets", r.LargerThanBytes, r.SmallerThanBytes)
	}
}

func (r Rule) checkActions(at string, all *book, f *Faults) {
	all.places(f, at+".deliver_to", r.DeliverTo)
	all.places(f, at+".copy_to", r.CopyTo)
	if r.Folder != "" {
		folderName(f, at+".folder", r.Folder)
	}
	kept := len(r.DeliverTo)+len(r.CopyTo)+len(r.Forward) > 0 || r.Folder != ""
	switch {
	case !kept && !r.Hold && !r.Discard && !r.Stop:
		f.add(at, "", "does nothing: give deliver_to, copy_to, folder, hold, forward, discard or stop")
	case r.Discard && (kept || r.Hold):
		f.add(at+".discard", "", "goes with no other action")
	case r.Discard && r.Name == "":
		f.add(at+".discard", "", "needs a name: reports count what the rule has discarded")
	case r.Discard && r.always():
		f.add(at+".discard", "", "would discard all mail: give the rule a condition")
	}
}

// always says that the rule holds for all mail that comes from one side.
func (r Rule) always() bool {
	return len(r.Box)+len(r.From)+len(r.To)+len(r.Subject)+len(r.ListID)+len(r.Header) == 0 && r.LargerThanBytes == 0 && r.SmallerThanBytes == 0
}
