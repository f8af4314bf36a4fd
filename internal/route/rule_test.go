package route

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// One message that conditions are tried on.
const letter = `
	From: "Smith, Carl" <carl@other.example>
	Sender: robot@lists.other.example
	To: Ann <ann+radio@clinic.example>
	Cc: dora@third.example
	Subject: =?utf-8?Q?B=C3=BCcher_f=C3=BCr?= the Clinic
	List-Id: News of the week <week.news.example>
	X-Spam-Flag: YES
	X-Spam-Flag: maybe`

func TestConditions(t *testing.T) {
	tests := map[string]struct {
		rule Rule
		why  string // what held; "": the rule is not for this message
	}{
		"none":                  {Rule{}, "all mail"},
		"origin":                {Rule{Origin: Collected}, "collected"},
		"other origin":          {Rule{Origin: Office}, ""},
		"box":                   {Rule{Box: []string{"ann", "post"}}, "box post"},
		"box pattern":           {Rule{Box: []string{"P*T"}}, "box is P*T"},
		"other box":             {Rule{Box: []string{"ann", "x*"}}, ""},
		"from, envelope":        {Rule{From: []string{"Bounce@Lists.other.example"}}, "from Bounce@Lists.other.example"},
		"from, header":          {Rule{From: []string{"x@y.example", "carl@other.example"}}, "from carl@other.example"},
		"from, Sender":          {Rule{From: []string{"robot@lists.other.example"}}, "from robot@lists.other.example"},
		"from a domain":         {Rule{From: []string{"@OTHER.example"}}, "from @OTHER.example"},
		"from below a domain":   {Rule{From: []string{"@*.other.example"}}, "from @*.other.example"},
		"not below it":          {Rule{From: []string{"@*.third.example"}}, ""},
		"from a pattern":        {Rule{From: []string{"c*l@other.*"}}, "from c*l@other.*"},
		"pattern of a whole":    {Rule{From: []string{"arl@other.*"}}, ""},
		"to, envelope":          {Rule{To: []string{"bob@clinic.example"}}, "to bob@clinic.example"},
		"to, without detail":    {Rule{To: []string{"ann@clinic.example"}}, "to ann@clinic.example"},
		"to, with it":           {Rule{To: []string{"ann+radio@clinic.example"}}, "to ann+radio@clinic.example"},
		"to, other detail":      {Rule{To: []string{"ann+tv@clinic.example"}}, ""},
		"Cc":                    {Rule{To: []string{"@third.example"}}, "to @third.example"},
		"subject":               {Rule{Subject: []string{"x", "BÜCHER FÜR"}}, "subject contains BÜCHER FÜR"},
		"subject, a pattern":    {Rule{Subject: []string{"bü*clinic"}}, "subject is bü*clinic"},
		"a pattern is whole":    {Rule{Subject: []string{"für*clinic"}}, ""},
		"other subject":         {Rule{Subject: []string{"clinics"}}, ""},
		"list-id":               {Rule{ListID: []string{"News.Example"}}, "list-id contains News.Example"},
		"list-id, a pattern":    {Rule{ListID: []string{"*.news.example"}}, "list-id is *.news.example"},
		"list-id, its words":    {Rule{ListID: []string{"news of *"}}, "list-id is news of *"},
		"header":                {Rule{Header: []string{"x-spam-flag: yes"}}, "x-spam-flag contains yes"},
		"header, the second":    {Rule{Header: []string{"X-Spam-Flag: may*"}}, "X-Spam-Flag is may*"},
		"header is there":       {Rule{Header: []string{"X-None:", "List-ID:"}}, "List-ID is there"},
		"header is not there":   {Rule{Header: []string{"X-None:", "X-None: *"}}, ""},
		"larger":                {Rule{LargerThan: 999}, "larger than 999 octets"},
		"not larger":            {Rule{LargerThan: 1000}, ""},
		"smaller":               {Rule{SmallerThan: 1001}, "smaller than 1001 octets"},
		"not smaller":           {Rule{SmallerThan: 1000}, ""},
		"all":                   {Rule{Origin: Collected, From: []string{"@other.example"}, LargerThan: 1}, "collected, from @other.example, larger than 1 octets"},
		"all but one":           {Rule{Origin: Collected, From: []string{"@third.example"}, LargerThan: 1}, ""},
		"star alone":            {Rule{Subject: []string{"*"}}, "subject is *"},
		"stars side by side":    {Rule{Subject: []string{"b**c"}}, "subject is b**c"},
		"parts don't overlap":   {Rule{Header: []string{"X-Spam-Flag: ye*es"}}, ""},
		"IDN":                   {Rule{From: []string{"@bücher.example"}}, ""},
		"IDN in a pattern":      {Rule{To: []string{"j*@BÜCHER.example"}}, "to j*@BÜCHER.example"},
		"IDN in the other form": {Rule{To: []string{"@xn--bcher-kva.example"}}, "to @xn--bcher-kva.example"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.rule.Hold = true
			tab := table(t, func(o *Options) {
				o.Boxes = []Box{{Name: "post", To: []string{"ann"}}, {Name: "ann", To: []string{"ann"}}}
				o.Rules = []Rule{tt.rule}
			})
			d := tab.Collected(Incoming{
				Box: "post", From: "bounce@lists.other.example", Rcpts: []string{"bob@clinic.example", "Jo@bücher.example"},
				Header: header(t, letter), Size: 1000,
			})
			if tt.why == "" {
				check(t, d, "ann")
				return
			}
			check(t, d, "ann hold=rule 1", "rule 1 ("+tt.why+"): hold")
		})
	}
}

// The recipients that a catch-all box's header names are the envelope's.
func TestConditionOnCatchAll(t *testing.T) {
	tab := table(t, func(o *Options) {
		o.Boxes = []Box{{Name: "all", CatchAll: &CatchAll{}}}
		o.Rules = []Rule{{To: []string{"zoe@clinic.example"}, DeliverTo: []string{"bob"}}}
	})
	d := tab.Collected(Incoming{Box: "all", Header: header(t, "Delivered-To: zoe@clinic.example")})
	check(t, d, "bob", `rule 1 (to zoe@clinic.example): user bob`)
}

// Each action, and what becomes of it with others. Every rule is for all mail; what was
// collected would go to ann and to eve, who is on a server.
func TestActions(t *testing.T) {
	all := []string{"*"}
	tests := map[string]struct {
		rules []Rule
		want  string
		why   []string
	}{
		"deliver to": {[]Rule{{Name: "n", DeliverTo: []string{"news", "bob/X"}}}, "news bob/X", []string{
			`rule 1 "n" (all mail): folder news and user bob, folder X`,
		}},
		"deliver to a list": {[]Rule{{DeliverTo: []string{"staff"}}}, "ann bob exchange:eve@corp.local news/Board exchange:chair@corp.local", []string{
			`rule 1 (all mail): list staff`, `carl@other.example on list staff is outside: what was collected stays in the office`,
		}},
		"the first that says where is the last": {[]Rule{{DeliverTo: []string{"news"}}, {DeliverTo: []string{"bob"}}, {CopyTo: []string{"archive"}}}, "news", nil},
		"copy to":                               {[]Rule{{CopyTo: []string{"archive"}}, {CopyTo: []string{"bob"}}}, "ann exchange:eve@corp.local archive bob", []string{`rule 1 (all mail): copy to folder archive`}},
		"a copy stays":                          {[]Rule{{CopyTo: []string{"archive"}}, {DeliverTo: []string{"news"}}}, "news archive", nil},
		"a copy for himself":                    {[]Rule{{CopyTo: []string{"ann/Copies"}}}, "exchange:eve@corp.local ann/Copies", nil},
		"folder, not on a server":               {[]Rule{{Folder: "News/Week"}}, "ann/News/Week exchange:eve@corp.local", []string{`rule 1 (all mail): into folder News/Week`}},
		"the last folder":                       {[]Rule{{Folder: "A"}, {Folder: "B"}}, "ann/B exchange:eve@corp.local", nil},
		"folder of what it goes to":             {[]Rule{{DeliverTo: []string{"bob", "news/X"}, Folder: "A", CopyTo: []string{"archive"}}}, "bob/A news/A archive", nil},
		"the inbox":                             {[]Rule{{Folder: "A"}, {Folder: "INBOX"}}, "ann exchange:eve@corp.local", nil},
		"hold":                                  {[]Rule{{Name: "h", Hold: true}, {Name: "i", Hold: true}, {DeliverTo: []string{"bob"}}}, "bob hold=h", []string{`rule 1 "h" (all mail): hold`}},
		"forward": {[]Rule{{Forward: []string{"x@y.example", "X@Y.example"}}, {Name: "z", Forward: []string{"z@y.example", "x@y.example"}}},
			"ann exchange:eve@corp.local >x@y.example(rule 1) >z@y.example(z)", []string{`rule 1 (all mail): forward to x@y.example and X@Y.example`}},
		"forward and hold": {[]Rule{{Name: "f", Forward: []string{"x@y.example"}, Hold: true, DeliverTo: []string{"bob"}}}, "bob >x@y.example(f) hold=f", []string{
			`rule 1 "f" (all mail): user bob, forward to x@y.example, hold`,
		}},
		"discard":                      {[]Rule{{Name: "spam", Subject: all, Discard: true}, {CopyTo: []string{"archive"}}}, "discard=spam", []string{`rule 1 "spam" (subject is *): discard`}},
		"copies and forwards are kept": {[]Rule{{CopyTo: []string{"archive"}, Forward: []string{"x@y.example"}}, {Name: "s", Subject: all, Discard: true}}, "archive >x@y.example(rule 1) discard=s", nil},
		"what is held isn't discarded": {[]Rule{{Hold: true}, {Subject: all, Discard: true}}, "ann exchange:eve@corp.local hold=rule 1", []string{`rule 2 (subject is *): not discarded, because it is held`}},
		"stop":                         {[]Rule{{Name: "s", Stop: true}, {CopyTo: []string{"archive"}}}, "ann exchange:eve@corp.local", []string{`rule 1 "s" (all mail): no later rule`}},
		"stop after an action":         {[]Rule{{CopyTo: []string{"bob"}, Stop: true}, {CopyTo: []string{"archive"}}}, "ann exchange:eve@corp.local bob", []string{`rule 1 (all mail): copy to user bob, no later rule`}},
		"one that is for others":       {[]Rule{{Subject: []string{"other"}, DeliverTo: []string{"news"}}, {CopyTo: []string{"bob"}}}, "ann exchange:eve@corp.local bob", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tab := table(t, func(o *Options) {
				o.Boxes = []Box{{Name: "post", To: []string{"ann", "eve"}}}
				o.Rules = tt.rules
			})
			check(t, tab.Collected(Incoming{Box: "post", Header: header(t, "Subject: x")}), tt.want, tt.why...)
		})
	}
}

// A rule may place what had no place.
func TestRulePlaces(t *testing.T) {
	tab := table(t, func(o *Options) {
		o.Boxes = []Box{{Name: "all", CatchAll: &CatchAll{}}}
		o.Rules = []Rule{
			{ListID: []string{"news"}, DeliverTo: []string{"news"}},
			{Subject: []string{"spam"}, Discard: true},
			{Subject: []string{"copy"}, CopyTo: []string{"archive"}},
		}
	})
	for text, want := range map[string]string{
		"List-Id: <news.example>": "news",
		"Subject: spam":           "discard=rule 2",
		"Subject: copy":           "unrouted archive unplaced",
		"Subject: spam\nDelivered-To: zoe@clinic.example\nDelivered-To: ann@clinic.example": "discard=rule 2",
	} {
		check(t, tab.Collected(Incoming{Box: "all", Header: header(t, text)}), want)
	}
}

func TestOffice(t *testing.T) {
	tab := table(t, func(o *Options) {
		o.Boxes = []Box{{Name: "all"}}
		o.Rules = []Rule{
			{Box: []string{"*"}, Hold: true},
			{Origin: Collected, Hold: true},
			{Name: "rota", Subject: []string{"rota"}, DeliverTo: []string{"news/Rota"}},
			{Name: "junk", Subject: []string{"junk"}, Discard: true},
			{Name: "list", Subject: []string{"list"}, DeliverTo: []string{"staff"}},
			{Name: "folder", Subject: []string{"sort"}, Folder: "Sorted"},
			{Name: "big", Origin: Office, LargerThan: 1000, Hold: true},
			{Name: "copy", Origin: Office, To: []string{"@bank.example"}, CopyTo: []string{"archive/Bank"}, Forward: []string{"x@y.example"}},
		}
	})
	tests := []struct {
		name string
		in   Incoming
		subj string
		want string
		why  []string
	}{
		{"nothing to say", Incoming{To: []string{"bob", "exchange:x@corp.local"}}, "", "bob exchange:x@corp.local", nil},
		{"only outside", Incoming{}, "", "", nil},
		{"both places are one", Incoming{To: []string{"bob", "bob/X", "bob"}}, "", "bob/X", nil},
		{"deliver to", Incoming{To: []string{"bob"}}, "rota", "news/Rota", []string{`rule 3 "rota" (subject contains rota): folder news/Rota`}},
		{"not drawn into the office", Incoming{Rcpts: []string{"a@bank.example"}}, "rota, junk, sort", "archive/Bank >x@y.example(copy)", []string{
			`rule 8 "copy" (office, to @bank.example): copy to folder archive/Bank, forward to x@y.example`,
		}},
		{"discard", Incoming{To: []string{"bob"}}, "junk", "discard=junk", nil},
		// Members outside get what staff send.
		{"list", Incoming{To: []string{"bob"}}, "list", "ann bob exchange:eve@corp.local news/Board exchange:chair@corp.local >carl@other.example(list)", nil},
		{"folder", Incoming{To: []string{"bob", "eve"}}, "sort", "bob/Sorted exchange:eve@corp.local", nil},
		{"hold", Incoming{To: []string{"bob"}, Size: 1001}, "", "bob hold=big", nil},
		{"a place that is no more", Incoming{To: []string{"bob", "zoe"}}, "", "bob unrouted unplaced", []string{`there is no place "zoe": mailbox unrouted`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Header = header(t, "Subject: "+tt.subj)
			check(t, tab.Office(tt.in), tt.want, tt.why...)
		})
	}
}

// The whole of it, as a person reads it.
func TestExplain(t *testing.T) {
	tab := table(t, func(o *Options) {
		o.Boxes = []Box{{Name: "all", CatchAll: &CatchAll{Domains: []string{"clinic.example"}}}}
		o.Rules = []Rule{
			{Name: "big", LargerThan: 1 << 20, Hold: true},
			{Name: "newsletters", ListID: []string{"news.example"}, DeliverTo: []string{"news"}, Forward: []string{"editor@paper.example"}},
		}
	})
	d := tab.Collected(Incoming{Box: "all", Size: 2 << 20, Header: header(t, "Delivered-To: ann@clinic.example\nList-Id: \x1b[1m<week.news.example>")})
	want := `box "all" is a catch-all for clinic.example
Delivered-To names ann@clinic.example: user ann
rule 1 "big" (larger than 1048576 octets): hold
rule 2 "newsletters" (list-id contains news.example): folder news, forward to editor@paper.example
it is held by rule "big" until somebody decides
it goes to news
it is forwarded to editor@paper.example by rule "newsletters"`
	if got := strings.Join(d.Explain(), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	d = Decision{Discard: "rule 3", Reasons: []string{"why"}}
	if got := d.Explain(); !slices.Equal(got, []string{"why", `it is discarded by rule 3`}) {
		t.Errorf("%q", got)
	}
	if got := plain("a\x1b[1m\r\n\u202eb\xff" + strings.Repeat("ü", 300)); !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\r\n\u202e") || len(got) > 510 {
		t.Errorf("%q", got)
	}
}
