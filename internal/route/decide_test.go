package route

import (
	"slices"
	"strings"
	"testing"
)

// header reads the header of a test, whose lines may be indented.
func header(t testing.TB, text string) Header {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		lines = append(lines, strings.TrimPrefix(strings.TrimLeft(line, " \t"), "| "))
	}
	h, err := ReadHeader(strings.NewReader(strings.Join(lines, "\r\n") + "\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// outcome is a decision in one line: To, then what else there is.
func outcome(d Decision) string {
	words := slices.Clone(d.To)
	for _, f := range d.Forward {
		words = append(words, ">"+f.Addr+"("+f.Rule+")")
	}
	if d.Hold != "" {
		words = append(words, "hold="+d.Hold)
	}
	if d.Discard != "" {
		words = append(words, "discard="+d.Discard)
	}
	if d.Unplaced {
		words = append(words, "unplaced")
	}
	return strings.Join(words, " ")
}

// check compares a decision; why are reasons that must be among its, in their order.
func check(t *testing.T, d Decision, want string, why ...string) {
	t.Helper()
	if got := outcome(d); got != want {
		t.Errorf("goes to %q, want %q\n\t%s", got, want, strings.Join(d.Reasons, "\n\t"))
	}
	rest := d.Reasons
	for _, w := range why {
		i := slices.Index(rest, w)
		if i < 0 {
			t.Errorf("this reason is missing:\n\t%s\nin:\n\t%s", w, strings.Join(d.Reasons, "\n\t"))
			continue
		}
		rest = rest[i+1:]
	}
}

func TestBoxes(t *testing.T) {
	tab := table(t, func(o *Options) {
		o.Boxes = []Box{
			{Name: "ann", To: []string{"ann"}},
			{Name: "ann2", To: []string{"ann"}},
			{Name: "both", To: []string{"bob", "ann/Radio", "ann"}},
			{Name: "news", To: []string{"news/Week"}},
			{Name: "staff", To: []string{"staff"}},
			{Name: "eve", To: []string{"eve"}},
			{Name: "ex", To: []string{"exchange:x@corp.local", "info@clinic.example"}},
			{Name: "none"},
		}
	})
	tests := []struct {
		box, want string
		why       []string
	}{
		{"ann", "ann", []string{`box "ann" is for user ann`}},
		{"ann2", "ann", nil},
		{"both", "bob ann/Radio", []string{`box "both" is for user bob and user ann, folder Radio and user ann`}},
		{"news", "news/Week", []string{`box "news" is for folder news/Week`}},
		// Of a list, those inside.
		{"staff", "ann bob exchange:eve@corp.local news/Board exchange:chair@corp.local", []string{
			`box "staff" is for list staff`, `carl@other.example on list staff is outside: what was collected stays in the office`,
		}},
		{"eve", "exchange:eve@corp.local", []string{`box "eve" is for user eve (on server exchange)`}},
		{"ex", "exchange:x@corp.local bob news", []string{`box "ex" is for x@corp.local on server exchange and user bob and folder news`}},
		{"none", "unrouted unplaced", []string{`box "none" has no recipients`, `mailbox unrouted gets what can't be placed`}},
		{"who?", "unrouted unplaced", []string{`there is no box "who?"`, `mailbox unrouted gets what can't be placed`}},
	}
	for _, tt := range tests {
		check(t, tab.Collected(Incoming{Box: tt.box}), tt.want, tt.why...)
	}
}

func TestCatchAll(t *testing.T) {
	box := func(c CatchAll) *Table {
		return table(t, func(o *Options) { o.Boxes = []Box{{Name: "all", CatchAll: &c}} })
	}
	plainBox := box(CatchAll{})
	toCc := box(CatchAll{Domains: []string{"clinic.example"}, ToCc: true, Unknown: []string{"archive/Lost", "bob"}})
	prefixed := box(CatchAll{Domains: []string{"clinic-pop.isp.example"}, Prefix: "mbox-user-", Ignore: []string{"all@clinic-pop.isp.example"}})
	ordered := box(CatchAll{Domains: []string{"clinic.example"}, Headers: []string{"X-Envelope-To", "Received"}})
	server := box(CatchAll{Domains: []string{"clinic.example"}, Server: "exchange", Prefix: "p-"})
	tests := []struct {
		name, header string
		tab          *Table
		want         string
		why          []string
	}{
		{"Delivered-To", "Delivered-To: ann@clinic.example", plainBox, "ann", []string{
			`box "all" is a catch-all for clinic.example, bücher.example`, `Delivered-To names ann@clinic.example: user ann`,
		}},
		{"several of a kind", "Delivered-To: ann@clinic.example\nDelivered-To: <BOB+x@clinic.example>, ann@bücher.example", plainBox, "ann bob", nil},
		{"other domains mean nothing", "Delivered-To: ann@isp.example\nX-Original-To: bob@clinic.example", plainBox, "bob", nil},
		// The order of the configuration, not of the header.
		{"the first that is known", "X-Original-To: bob@clinic.example\nDelivered-To: ann@clinic.example", plainBox, "ann", nil},
		{"an unknown one before", "Delivered-To: pop17@clinic.example\nX-Original-To: bob@clinic.example", plainBox, "bob", []string{
			`Delivered-To names pop17@clinic.example: nobody has this address`, `X-Original-To names bob@clinic.example: user bob`,
		}},
		{"order", "Delivered-To: ann@clinic.example\nX-Envelope-To: bob@clinic.example", ordered, "bob", nil},
		// Received, from the top.
		{"Received", `
			Received: from a by b for <all@isp.example>; Mon
			Received: from c by d (Postfix) with ESMTP id 1
			|  for <bob@clinic.example>; Mon
			Received: from e by f for <ann@clinic.example>; Mon`, plainBox, "bob", []string{`Received names bob@clinic.example: user bob`}},
		{"Received, an unknown one above", `
			Received: from c by d for <zoe@clinic.example>; Mon
			Received: from e by f for <ann@clinic.example>; Mon`, plainBox, "ann", nil},
		// Known and unknown.
		{"both", "Delivered-To: ann@clinic.example\nDelivered-To: zoe@clinic.example", plainBox, "ann unrouted unplaced", []string{
			`Delivered-To names ann@clinic.example: user ann`, `Delivered-To names zoe@clinic.example: nobody has this address`,
			`for those that were not found a copy: mailbox unrouted`,
		}},
		// Nobody: Bcc, or unknown.
		{"Bcc", "To: ann@clinic.example", plainBox, "unrouted unplaced", []string{
			`no known recipient in Delivered-To, X-Original-To, Envelope-To, X-Envelope-To, Received: mailbox unrouted`,
		}},
		{"no header", "", plainBox, "unrouted unplaced", nil},
		{"unknown in all", "Delivered-To: zoe@clinic.example\nTo: zoe@clinic.example", toCc, "archive/Lost bob unplaced", []string{
			`Delivered-To names zoe@clinic.example: nobody has this address`,
			`To or Cc names zoe@clinic.example: nobody has this address`,
			`no known recipient in Delivered-To, X-Original-To, Envelope-To, X-Envelope-To, Received, To, Cc: folder archive/Lost and user bob`,
		}},
		// To and Cc, only if asked.
		{"To and Cc", "To: Ann <ann@clinic.example>, x@other.example\nCc: bob@clinic.example, ann@clinic.example", toCc, "ann bob", []string{
			`To or Cc names ann@clinic.example: user ann`, `To or Cc names bob@clinic.example: user bob`,
		}},
		{"an envelope is better", "To: ann@clinic.example\nEnvelope-To: bob@clinic.example", toCc, "bob", nil},
		// A list.
		{"list", "Delivered-To: staff@clinic.example", plainBox, "ann bob exchange:eve@corp.local news/Board exchange:chair@corp.local", []string{
			`Delivered-To names staff@clinic.example: list staff`, `carl@other.example on list staff is outside: what was collected stays in the office`,
		}},
		{"nobody inside", "Delivered-To: friends@clinic.example", plainBox, "unrouted unplaced", []string{
			`Dora@Other.example on list friends is outside: what was collected stays in the office`, `mailbox unrouted gets what can't be placed`,
		}},
		{"postmaster", "Delivered-To: postmaster@clinic.example", plainBox, "unrouted", []string{`Delivered-To names postmaster@clinic.example: mailbox unrouted`}},
		// The provider's domain, with its prefix, looked up in the office's.
		{"prefix", "Delivered-To: mbox-user-ann@clinic-pop.isp.example", prefixed, "ann", []string{`Delivered-To names ann@clinic-pop.isp.example: user ann`}},
		{"without", "Delivered-To: Info@Clinic-Pop.isp.example", prefixed, "bob news", nil},
		{"not declared", "Delivered-To: ann@clinic.example", prefixed, "unrouted unplaced", nil},
		{"ignored", "Delivered-To: mbox-user-all@clinic-pop.isp.example\nDelivered-To: mbox-user-ann@clinic-pop.isp.example", prefixed, "ann", nil},
		{"ignored as it is", "Delivered-To: ALL@clinic-pop.isp.example\nDelivered-To: mbox-user-ann@clinic-pop.isp.example", prefixed, "ann", nil},
		{"of a provider's", "Delivered-To: mbox-user-postmaster@clinic-pop.isp.example", prefixed, "unrouted", nil},
		// A server that takes all.
		{"server", "Delivered-To: p-zoe@clinic.example\nDelivered-To: Ann@Clinic.example", server, "exchange:zoe@clinic.example exchange:Ann@Clinic.example", []string{
			`Delivered-To names zoe@clinic.example: server exchange takes all`,
		}},
		{"server, not an address", "Delivered-To: a\x00b@clinic.example", server, "unrouted unplaced", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, tt.tab.Collected(Incoming{Box: "all", Header: header(t, tt.header)}), tt.want, tt.why...)
		})
	}
}

// Reasons are for people: of many unknown addresses the first ten are named.
func TestManyUnknown(t *testing.T) {
	tab := table(t, func(o *Options) { o.Boxes = []Box{{Name: "all", CatchAll: &CatchAll{}}} })
	var b strings.Builder
	for i := range 15 {
		b.WriteString("Delivered-To: zoe" + strings.Repeat("x", i) + "@clinic.example\n")
	}
	d := tab.Collected(Incoming{Box: "all", Header: header(t, b.String()+"Delivered-To: ann@clinic.example")})
	check(t, d, "ann unrouted unplaced", "Delivered-To names 5 more that nobody has", "for those that were not found a copy: mailbox unrouted")
}

// A header that names thousands is a burden to nobody.
func TestCatchAllIsBounded(t *testing.T) {
	tab := table(t, func(o *Options) {
		o.Boxes = []Box{{Name: "all", CatchAll: &CatchAll{Server: "exchange"}}, {Name: "here", CatchAll: &CatchAll{}}}
	})
	var b strings.Builder
	for i := range 5000 {
		b.WriteString("Delivered-To: u" + strings.Repeat("x", i%50) + strings.Repeat("y", i/50) + "@clinic.example\n")
	}
	h := header(t, b.String())
	d := tab.Collected(Incoming{Box: "all", Header: h})
	if len(d.To) != maxNamed+1 || !d.Unplaced || !slices.Contains(d.To, "unrouted") {
		t.Errorf("%d places, unplaced %v", len(d.To), d.Unplaced)
	}
	if d = tab.Collected(Incoming{Box: "here", Header: h}); len(d.Reasons) > 20 || outcome(d) != "unrouted unplaced" {
		t.Errorf("%s, %d reasons", outcome(d), len(d.Reasons))
	}
}

func TestLoops(t *testing.T) {
	options := func(o *Options) {
		o.Boxes = []Box{{Name: "ann", To: []string{"ann"}}}
		o.Rules = []Rule{{Name: "out", Forward: []string{"carl@other.example"}}}
	}
	tab := table(t, options)
	hops := func(n int) string { return strings.Repeat("Received: from a by b; Mon\n", n) }
	tests := []struct {
		header, want string
		why          []string
	}{
		{"", "ann >carl@other.example(out)", nil},
		{hops(50), "ann >carl@other.example(out)", nil},
		// A loop is put aside, and no rule sends it on.
		{hops(51), "unrouted unplaced", []string{"it has passed 51 servers: it goes in circles", "mailbox unrouted gets what can't be placed"}},
		{"Delivered-To: ann@gate.clinic.example", "unrouted unplaced", []string{
			"it has been delivered here, as Delivered-To says (ann@gate.clinic.example): it goes in circles",
		}},
		{"Delivered-To: x@y.example\nDelivered-To: <News@Gate.clinic.example>", "unrouted unplaced", nil},
		{"Delivered-To: " + tab.DeliveredTo("exchange:eve@corp.local"), "unrouted unplaced", nil},
		// The provider's own, and a mailbox that isn't ours.
		{"Delivered-To: ann@clinic.example", "ann >carl@other.example(out)", nil},
		{"Delivered-To: zoe@gate.clinic.example", "ann >carl@other.example(out)", nil},
		// What has been at the far end of a forward, or comes from there, isn't sent there again.
		{"Delivered-To: Carl@other.example", "ann", []string{"not forwarded to carl@other.example, where it has been"}},
		{"From: Carl <carl@Other.example>", "ann", []string{"not forwarded to carl@other.example, who sent it"}},
	}
	for _, tt := range tests {
		check(t, tab.Collected(Incoming{Box: "ann", Header: header(t, tt.header)}), tt.want, tt.why...)
	}
	check(t, tab.Collected(Incoming{Box: "ann", From: "carl@other.example"}), "ann")

	// Where the host has a mail domain's name, that domain is the provider's to write.
	tab = table(t, func(o *Options) { options(o); o.Hostname = "clinic.example" })
	check(t, tab.Collected(Incoming{Box: "ann", Header: header(t, "Delivered-To: ann@clinic.example")}), "ann >carl@other.example(out)")
	check(t, tab.Collected(Incoming{Box: "ann", Header: header(t, "Delivered-To: ann@outpost.clinic.example")}), "unrouted unplaced")
}

func TestCutHeader(t *testing.T) {
	tab := table(t, func(o *Options) { o.Boxes = []Box{{Name: "ann", To: []string{"ann"}}} })
	check(t, tab.Collected(Incoming{Box: "ann", Header: Header{Cut: true}}), "ann", "only the first 262144 octets of its header were looked at")
}
