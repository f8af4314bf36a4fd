package route

import (
	"strings"
	"testing"
)

// Each fault is found, and named with what it is about.
func TestFaults(t *testing.T) {
	rule := func(r Rule) func(*Options) { return func(o *Options) { o.Rules = []Rule{r} } }
	box := func(b Box) func(*Options) { return func(o *Options) { o.Boxes = []Box{b} } }
	list := func(m ...string) func(*Options) {
		return func(o *Options) { o.Lists = append(o.Lists, List{Name: "l", Members: m}) }
	}
	user := func(u User) func(*Options) { return func(o *Options) { o.Users = append(o.Users, u) } }
	tests := []struct {
		change func(*Options)
		want   []string
	}{
		// Names.
		{func(o *Options) { o.Domains = []string{"a b", "", "x@y", "*.x"} }, []string{`"a b" is not a domain`, `"" is not`, `"x@y"`, `"*.x"`,
			`user "dan": on server "exchange": "" is not an address`}},
		{user(User{Name: "Ann"}), []string{`user "Ann": the name may have small letters`}},
		{user(User{Name: "news"}), []string{`folder "news": there is a user of that name already`}},
		{func(o *Options) { o.Servers = append(o.Servers, Server{"staff"}) }, []string{`server "staff": there is a list of that name already`}},
		{func(o *Options) { o.Unplaced = "staff" }, []string{`unplaced mail: "staff" is a list`}},
		{func(o *Options) { o.Unplaced = "../x" }, []string{`mailbox "../x"`}},
		// Users and folders.
		{user(User{Name: "u", Addresses: []string{"u@", "<u@x>", "a b@x"}}), []string{`user "u": "u@" is not an address`, `"<u@x>"`, `"a b@x"`}},
		{user(User{Name: "u", Server: "nope"}), []string{`user "u": there is no server "nope"`}},
		{user(User{Name: "u", ServerAddress: "u@x"}), []string{`user "u": there is an address on a server, but no server`}},
		{user(User{Name: "u", Server: "exchange", ServerAddress: "u"}), []string{`user "u": on server "exchange": "u" is not an address`}},
		{user(User{Name: "u", MaxOut: -1}), []string{`user "u": a number of octets`}},
		{user(User{Name: "u", Identity: "u"}), []string{`user "u": identity: "u" is not`}},
		{func(o *Options) { o.Folders[1].Read = []string{"zoe", "staff"} }, []string{`folder "archive": there is no user "zoe"`, `no user "staff"`}},
		// Lists.
		{list(), []string{`list "l" has no members`}},
		{list("zoe", "zoe@clinic.example", "exchange", "nope:x@y", "dan/Radio", "x/y@other.example", "zoe/X", "exchange:x", "a b@other.example"), []string{
			`list "l": there is no user, folder or list "zoe"`, `nobody in the office has the address "zoe@clinic.example"`,
			`server "exchange": an address there must be named, as exchange:address`, `there is no server "nope"`,
			`"dan/Radio": the mailbox of dan is on server "exchange"`, `there is no user or folder "zoe"`, `"exchange:x": what follows`, `"a b@other.example" is not an address`,
		}},
		// Boxes.
		{box(Box{Name: "b", To: []string{"zoe", "x@other.example"}}), []string{`box "b": there is no user`, `box "b": "x@other.example" is outside`}},
		{box(Box{Name: "b", To: []string{"friends"}}), []string{`box "b": list friends has nobody in the office`}},
		{func(o *Options) { o.Boxes = []Box{{Name: "b"}, {Name: "b"}, {}} }, []string{`box "b": the name`, `box "": the name`}},
		{box(Box{Name: "b", To: []string{"ann"}, CatchAll: &CatchAll{
			Domains: []string{"a b"}, Headers: []string{"X Y", ""}, Ignore: []string{"x"}, Server: "nope", Unknown: []string{"zoe"},
		}}), []string{
			`box "b" is a catch-all: name places`, `box "b": "a b" is not a domain`, `"X Y" is not the name of a header field`, `"" is not the name`,
			`box "b": ignored: "x" is not an address`, `box "b": there is no server "nope"`, `box "b": unknown recipients: there is no user`,
		}},
		{func(o *Options) { *o = Options{Boxes: []Box{{Name: "b", CatchAll: &CatchAll{}}}} }, []string{`box "b": the domains that it is a catch-all for`}},
		// Rules.
		{rule(Rule{Name: "r"}), []string{`rule 1 "r" does nothing`}},
		{rule(Rule{Discard: true}), []string{`rule 1: a rule that discards must have a condition`}},
		{rule(Rule{Subject: []string{"x"}, Discard: true, Hold: true}), []string{`a rule that discards can do nothing else`}},
		{rule(Rule{Origin: "nowhere", Hold: true}), []string{`rule 1: origin "nowhere"`}},
		{rule(Rule{Origin: Office, Box: []string{"nope", "x*"}, Hold: true}), []string{`rule 1: mail from the office was in no box`, `there is no box "nope"`}},
		{rule(Rule{From: []string{"x", "@", "@a b"}, Hold: true}), []string{`rule 1: from: "x" is not an address, nor @domain`, `from: "" is not a domain`, `"a b"`}},
		{rule(Rule{Subject: []string{" "}, ListID: []string{""}, Hold: true}), []string{`subject: the text is empty`, `list-id: the text is empty`}},
		{rule(Rule{Header: []string{"x", "a b: c", ": d"}, Hold: true}), []string{`header "x": must be`, `header "a b: c"`, `header ": d"`}},
		{rule(Rule{LargerThan: 9, SmallerThan: 10, Hold: true}), []string{`no message is larger than 9 and smaller than 10`}},
		{rule(Rule{DeliverTo: []string{"zoe"}, CopyTo: []string{"zed"}, Folder: "a.b"}), []string{`rule 1: deliver to: there is no`, `rule 1: copy to: there is no`, `"a.b": each level`}},
		{rule(Rule{Forward: []string{"x", "ann@isp.example", "zoe@clinic.example"}}), []string{`forward: "x" is not`, `"ann@isp.example" is the office's`, `"zoe@clinic.example" is the office's`}},
		{func(o *Options) { o.Rules = []Rule{{Name: "r", Hold: true}, {Name: "r", Hold: true}} }, []string{`rule 2 "r": there is another rule`}},
	}
	for _, tt := range tests {
		opt := office()
		tt.change(&opt)
		_, err := New(opt)
		if err == nil {
			t.Errorf("no fault; want %q", tt.want)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in\n%v", want, err)
			}
		}
		if n := strings.Count(err.Error(), "\n") + 1; n != len(tt.want) {
			t.Errorf("%d faults instead of %d:\n%v", n, len(tt.want), err)
		}
	}
}

// An office of one, with nothing said.
func TestZeroOptions(t *testing.T) {
	tab, err := New(Options{Boxes: []Box{{Name: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	d := tab.Collected(Incoming{Box: "b"})
	if len(d.To) != 1 || d.To[0] != DefaultUnplaced || !d.Unplaced {
		t.Errorf("%+v", d)
	}
}
