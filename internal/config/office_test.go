package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// office is a good configuration with somebody of each kind.
const office = minimal + `
[[user]]
name = "ann"
[[user]]
name = "ben"
server = "exchange"
[[folder]]
name = "news"
[[list]]
name = "staff"
members = ["ann", "ben", "news", "news/Read", "exchange:carol@clinic.example", "board", "far@elsewhere.example"]
[[list]]
name = "board"
members = ["staff"]
[[server]]
name = "exchange"
host = "192.168.1.10"
[[line]]
port = "/dev/ttyS0"
number = "1"
`

const box = "[[box]]\nhost = \"pop.example\"\nuser = \"all\"\npassword = \"x\"\n"

func TestOfficeDefaults(t *testing.T) {
	c := parse(t, office+box+"deliver_to = [\"ann\"]\n"+strings.Replace(box, "all", "two", 1)+"leave_days = 3\n[box.catch_all]\n")
	ann, ben := c.Users[0], c.Users[1]
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"imap", c.IMAP, IMAP{Listen: []string{"127.0.0.1:1143"}, MaxConnections: 200}},
		{"users file", c.Storage.UsersFile, "/var/lib/outpost/users"},
		{"internal", ann.Internal(), false},
		{"calls", ann.Calls(), true},
		{"ann's server", ann.ServerName(), ""},
		{"ben's server", ben.ServerName(), "exchange"},
		{"read", c.Folders[0].Read, []string{Everyone}},
		{"write", len(c.Folders[0].Write), 0},
		{"server", c.Servers[0], OfficeServer{Name: "exchange", Kind: ServerLMTP, Server: Server{Host: "192.168.1.10", Port: 24, TLS: TLSNone, Silence: 300}}},
		{"leave", c.Boxes[0].Leave, LeaveNever},
		{"leave_days", c.Boxes[1].Leave, LeaveDays},
		{"catch-all", *c.Boxes[1].CatchAll, CatchAll{Domains: []string{"clinic.example"}, Headers: envelopeHeaders()}},
		{"hold", c.Hold, Hold{NoteLines: 12}},
		{"bounce", c.Bounce, Bounce{DelayCalls: 3, DelayHours: 24, GiveUpDays: 5, GiveUpCalls: 3}},
		{"delay", c.Bounce.Delay(), 24 * time.Hour},
		{"give up", c.Bounce.GiveUp(), 5 * 24 * time.Hour},
	} {
		if !reflect.DeepEqual(check.got, check.want) {
			t.Errorf("%s is %+v, want %+v", check.what, check.got, check.want)
		}
	}
}

// What is said of one counts before what is said of all, and an explicit nothing is one.
func TestOfficeOverrides(t *testing.T) {
	c := parse(t, strings.Replace(office, "name = \"ann\"\n", "name = \"ann\"\nserver = \"\"\nexternal = false\nmay_call = false\n", 1)+`
[[user]]
name = "dave"
[delivery]
server = "exchange"
[imap]
listen = []
[bounce]
delay_calls = 0
give_up_days = 0
`)
	if c.Users[0].ServerName() != "" || c.Users[2].ServerName() != "exchange" {
		t.Errorf("servers %q, %q", c.Users[0].ServerName(), c.Users[2].ServerName())
	}
	if !c.Users[0].Internal() || c.Users[0].Calls() {
		t.Errorf("ann %+v", c.Users[0])
	}
	if len(c.IMAP.Listen)+len(c.IMAP.ListenTLS) != 0 {
		t.Errorf("imap %+v", c.IMAP)
	}
	if c.Bounce != (Bounce{DelayHours: 24, GiveUpCalls: 3}) {
		t.Errorf("bounce %+v", c.Bounce)
	}
	for text, port := range map[string]int{"kind = \"smtp\"\n": 25, "kind = \"smtp\"\ntls = \"implicit\"\n": 465, "tls = \"starttls\"\n": 24, "port = 2424\n": 2424} {
		if got := parse(t, minimal+"[[server]]\nname = \"s\"\nhost = \"h\"\n"+text).Servers[0].Port; got != port {
			t.Errorf("%s: port %d, want %d", text, got, port)
		}
	}
}

// Each fault of the office's keys, by the words that name it.
func TestOfficeFaults(t *testing.T) {
	user := func(keys string) string { return office + "[[user]]\nname = \"carol\"\n" + keys }
	rule := func(keys string) string {
		return strings.Replace(office, "[[line]]", box+"name = \"all\"\ndeliver_to = [\"ann\"]\n[[rule]]\n"+keys+"[[line]]", 1)
	}
	caught := func(keys string) string { return office + box + "[box.catch_all]\n" + keys }
	for _, c := range []struct{ text, fault string }{
		// Names and addresses.
		{office + "[[folder]]\nname = \"ann\"\n", `folder "ann".name = ann: there is a user of that name already`},
		{office + "[[server]]\nname = \"news\"\nhost = \"h\"\n", `server "news".name = news: there is a folder of that name already`},
		{office + "[[list]]\nname = \"aux\"\nmembers = [\"ann\"]\n", `list "aux".name = "aux"`},
		{office + "[[folder]]\n", "folder 2.name: must be"},
		{user("addresses = [\"Ann@clinic.example\"]\n"), `user "carol".addresses = Ann@clinic.example: belongs to user "ann" already`},
		{user("addresses = [\"staff@clinic.example\"]\n"), `belongs to list "staff" already; for an address of several people make a [[list]]`},
		{user("addresses = [\"x@provider.example\"]\n[[folder]]\nname = \"f\"\naddresses = [\"X@provider.example\"]\n"), `folder "f".addresses = X@provider.example: belongs to user "carol"`},
		{user("addresses = [\"@clinic.example\", \"a b@clinic.example\", \"x@\"]\n"), `user "carol".addresses = "x@": must be name@domain`},
		// Who refers to whom.
		{office + "[[folder]]\nname = \"f\"\nread = [\"staff\"]\n", `folder "f".read = staff: no user`},
		{office + "[[folder]]\nname = \"f\"\nwrite = [\"nobody\"]\n", `folder "f".write = nobody: no user`},
		{office + "[[list]]\nname = \"l\"\n", `list "l".members: name who`},
		{office + "[[list]]\nname = \"l\"\nmembers = [\"exchange\"]\n", "write exchange:name@domain for a mailbox there"},
		{office + "[[list]]\nname = \"l\"\nmembers = [\"nobody\"]\n", "members = nobody: no user, folder or list"},
		{office + "[[list]]\nname = \"l\"\nmembers = [\"nobody+x@clinic.example\"]\n", `list "l".members = nobody+x@clinic.example: nobody in the office has this address`},
		{user("addresses = ['\"x@clinic.example']\n"), `must be name@domain`},
		{user("addresses = [\"x[1]@clinic.example\", \"x@clinic/example\"]\n"), `user "carol".addresses = "x@clinic/example": must be name@domain`},
		{office + "[[list]]\nname = \"l\"\nmembers = [\"exchange:carol\"]\n", `members = "carol": must be name@domain`},
		{office + "[[list]]\nname = \"l\"\nmembers = [\"nowhere:carol@x.example\"]\n", `must be name@domain`},
		{office + "[delivery]\nserver = \"ann\"\n", "delivery.server = ann: no [[server]]"},
		{strings.Replace(office, "[office]\n", "[office]\npostmaster = \"staff\"\n", 1), "office.postmaster = staff: no user and no folder"},
		// Users.
		{user("server = \"nowhere\"\n"), `user "carol".server = nowhere: no [[server]]`},
		{user("server_address = \"carol@x.example\"\n"), ".server_address = carol@x.example: needs a server"},
		{user("identity = \"carol\"\n"), `.identity = "carol": must be name@domain`},
		{user("server = \"exchange\"\nquota_bytes = 1\n"), ".quota_bytes: has no meaning"},
		{user("quota_bytes = -1\n"), ".quota_bytes = -1"},
		{user("max_out_bytes = -1\n"), ".max_out_bytes = -1"},
		{user("hold_in_above_bytes = -1\n"), ".hold_in_above_bytes = -1"},
		{user("hold_out_above_bytes = -1\n"), ".hold_out_above_bytes = -1"},
		{user("password = \"$argon2id$v=19$m=19456\"\n"), `.password: is not an argon2id hash`},
		// Servers.
		{office + "[[server]]\nname = \"s\"\nhost = \"h\"\nkind = \"imap\"\n", `server "s".kind = "imap": must be lmtp, smtp`},
		{office + "[[server]]\nname = \"s\"\n", `server "s".host`},
		{office + "[[server]]\nname = \"s\"\nhost = \"h\"\nuser = \"u\"\n", `server "s".password`},
		{office + "[[server]]\nname = \"s\"\nhost = \"h\"\nuser = \"u\"\npassword = \"geheim\"\n", `server "s".tls = none: the password would`},
		// Boxes.
		{office + box, "deliver_to: name who gets this box's mail"},
		{office + box + "deliver_to = [\"ann/\", \"ann/a.b\", \"ann/x//y\"]\n", `deliver_to = "x//y": must be the name of a folder`},
		{office + box + "deliver_to = [\"ben/Inbox2\"]\n", "the mailbox of ben is on a server, where no folder"},
		{office + box + "deliver_to = [\"staff/x\"]\n", "no user and no folder has the name before the slash"},
		{office + box + "deliver_to = [\"ann:x@y.example\"]\n", "no [[server]] has the name before the colon"},
		{office + box + "deliver_to = [\"ann\"]\n[box.catch_all]\n", "deliver_to: has no meaning with [box.catch_all]"},
		{office + box + "deliver_to = [\"ann\"]\nleave = \"sometimes\"\n", `leave = "sometimes": must be never, always, days, read`},
		{office + box + "deliver_to = [\"ann\"]\nleave = \"days\"\n", "leave_days: leave = \"days\" needs their number"},
		{office + box + "deliver_to = [\"ann\"]\nleave = \"always\"\nleave_days = 3\n", "leave_days = 3: has no meaning with leave = \"always\""},
		{office + box + "deliver_to = [\"ann\"]\nhold_above_bytes = -1\n", "hold_above_bytes = -1"},
		{office + box + "deliver_to = [\"ann\"]\nhold_expire_days = -1\n", "hold_expire_days = -1"},
		{caught("domains = [\"two words\"]\n"), `catch_all.domains = "two words"`},
		{caught("headers = [\"Delivered-To:\"]\n"), `catch_all.headers = "Delivered-To:"`},
		{caught("prefix = \"a@\"\n"), `catch_all.prefix = "a@"`},
		{caught("ignore = [\"all\"]\n"), `catch_all.ignore = "all"`},
		{caught("server = \"news\"\n"), "catch_all.server = news: no [[server]]"},
		{caught("unknown = [\"nobody\"]\n"), "catch_all.unknown = nobody"},
		// IMAP.
		{office + "[imap]\nlisten = [\"1143\"]\n", `imap.listen = "1143"`},
		{office + "[imap]\nlisten_tls = [\"127.0.0.1:2525\"]\n", "is an address of [smtp] already"},
		{office + "[imap]\nmax_connections = -1\n", "imap.max_connections = -1"},
		// Holds and reports.
		{office + "[hold]\nin_above_bytes = -1\n", "hold.in_above_bytes"},
		{office + "[hold]\nmanager = \"news\"\n", "hold.manager = news: no user"},
		{office + "[hold]\nnote_lines = 1000\n", "hold.note_lines = 1000"},
		{office + "[[hold.hours]]\nfrom = \"18\"\nto = \"20:00\"\nin_above_bytes = 1\n", `hold.hours 1: "18" is not a time of day`},
		{office + "[[hold.hours]]\nfrom = \"18:00\"\nto = \"20:00\"\n", "hold.hours 1: says nothing"},
		{office + "[[hold.hours]]\nfrom = \"18:00\"\nto = \"20:00\"\nout_above_bytes = -1\n", "hold.hours 1.out_above_bytes = -1"},
		{office + "[bounce]\ngive_up_days = -1\n", "bounce.give_up_days = -1"},
		{office + "[bounce]\ndelay_hours = 100000\n", "bounce.delay_hours = 100000"},
		// Rules.
		{rule(""), "rule 1: does nothing"},
		{rule("origin = \"moon\"\nhold = true\n"), `rule 1.origin = "moon"`},
		{rule("box = [\"none\"]\nhold = true\n"), "rule 1.box = none: no box"},
		{rule("box = [\"all\"]\norigin = \"office\"\nhold = true\n"), "rule 1.box: never holds"},
		{rule("name = \"r\"\nfrom = [\"x\"]\nhold = true\n"), `rule "r".from = "x": must be name@domain`},
		{rule("from = [\"@a b\"]\nhold = true\n"), `must be name@domain`},
		{rule("subject = [\" \"]\nhold = true\n"), "rule 1.subject: has an empty text"},
		{rule("header = [\"Precedence\"]\nhold = true\n"), `rule 1.header = "Precedence": must be`},
		{rule("header = [\"Two words: x\"]\nhold = true\n"), `rule 1.header = "Two words"`},
		{rule("larger_than_bytes = 5\nsmaller_than_bytes = 6\nhold = true\n"), "rule 1.larger_than_bytes: no message"},
		{rule("larger_than_bytes = -5\nhold = true\n"), "rule 1.larger_than_bytes = -5"},
		{rule("deliver_to = [\"nobody\"]\n"), "rule 1.deliver_to = nobody"},
		{rule("copy_to = [\"nobody\"]\n"), "rule 1.copy_to = nobody"},
		{rule("folder = \"a.b\"\n"), `rule 1.folder = "a.b"`},
		{rule("forward = [\"ann@clinic.example\"]\n"), "rule 1.forward = ann@clinic.example: is in the office"},
		{rule("forward = [\"far\"]\n"), `rule 1.forward = "far"`},
		{rule("from = [\"@x.example\"]\ndiscard = true\n"), "rule 1.discard: needs a name"},
		{rule("name = \"r\"\norigin = \"collected\"\ndiscard = true\n"), `rule "r".discard: would discard all mail`},
		{rule("name = \"r\"\nfrom = [\"@x.example\"]\ndiscard = true\nhold = true\n"), `rule "r".discard: goes with no other action`},
		{rule("name = \"r\"\nhold = true\n[[rule]]\nname = \"r\"\nhold = true\n"), `rule "r".name = r: there is a rule`},
		// Bands.
		{office + "[[line.tariff.band]]\ndays = \"monday\"\nfrom = \"18:00\"\nto = \"08:00\"\nper_minute = \"0.1\"\n", `tariff.band 1: "monday" is not a day`},
		{office + "[[line.tariff.band]]\nfrom = \"18:00\"\nto = \"08:00\"\n", "tariff.band 1.per_minute: must be an amount"},
	} {
		if got := faultsOf(t, c.text); !strings.Contains(got, c.fault) || strings.Contains(got, "geheim") {
			t.Errorf("no fault says %s in:\n%s", c.fault, got)
		}
	}
}

// Limits: the nearest counts, and where people share a box, the highest.
func TestHoldLimits(t *testing.T) {
	c := parse(t, strings.Replace(minimal, "[office]", "[schedule]\ntime_zone = \"Africa/Nairobi\"\n[office]", 1)+`
[hold]
in_above_bytes = 100
out_above_bytes = 200
expire_days = 7
[[hold.hours]]
from = "20:00"
to = "06:00"
in_above_bytes = 1000
[[hold.hours]]
days = "sun"
from = "00:00"
to = "24:00"
in_above_bytes = 0
out_above_bytes = 0
[[user]]
name = "ann"
hold_in_above_bytes = 500
hold_out_above_bytes = 0
[[user]]
name = "director"
hold_in_above_bytes = 0
[[user]]
name = "ben"
[[list]]
name = "all"
members = ["ann", "ben"]
[[line]]
port = "/dev/ttyS0"
number = "1"
`)
	nairobi := c.Schedule.Location()
	day := time.Date(2026, 1, 5, 12, 0, 0, 0, nairobi) // a Monday
	night := time.Date(2026, 1, 5, 18, 0, 0, 0, time.UTC)
	sunday := time.Date(2026, 1, 11, 12, 0, 0, 0, nairobi)
	own, expire := int64(7), 0
	for _, check := range []struct {
		what string
		box  Box
		at   time.Time
		want int64
	}{
		{"in general", Box{DeliverTo: []string{"ben"}}, day, 100},
		{"a catch-all box", Box{}, day, 100},
		{"a catch-all box by night", Box{}, night, 500},
		{"a list", Box{DeliverTo: []string{"all"}}, night, 500},
		{"by night", Box{DeliverTo: []string{"ben"}}, night, 1000},
		{"on Sunday", Box{DeliverTo: []string{"ben"}}, sunday, 0},
		{"a user's own", Box{DeliverTo: []string{"ann"}}, day, 500},
		{"a user's own by night", Box{DeliverTo: []string{"ann"}}, night, 500},
		{"the highest", Box{DeliverTo: []string{"ben", "ann"}}, day, 500},
		{"the highest by night", Box{DeliverTo: []string{"ben", "ann"}}, night, 1000},
		{"none is the highest", Box{DeliverTo: []string{"ann", "director"}}, day, 0},
		{"the box's own", Box{DeliverTo: []string{"director"}, HoldAboveBytes: &own}, night, 7},
	} {
		if got := c.HoldIn(check.box, check.at); got != check.want {
			t.Errorf("%s: %d, want %d", check.what, got, check.want)
		}
	}
	for _, check := range []struct {
		users  []string
		octets int64
		at     time.Time
		want   bool
	}{
		{[]string{"ben"}, 101, day, false}, {[]string{"ben"}, 600, night, true}, {[]string{"ann"}, 500, day, true}, {[]string{"ann"}, 600, night, false},
		{[]string{"director"}, 1 << 30, day, true}, {[]string{"ben", "director"}, 1 << 30, day, true}, {nil, 101, day, false}, {nil, 600, night, true},
	} {
		if got := c.Wants(Box{}, check.users, check.octets, check.at); got != check.want {
			t.Errorf("%d octets for %v: wanted %v", check.octets, check.users, got)
		}
	}
	if c.Wants(Box{HoldAboveBytes: &own}, []string{"director"}, 8, day) {
		t.Error("a box's own limit doesn't count before its users'")
	}
	for i, want := range []int64{0, 200, 200} {
		if got := c.HoldOut(c.Users[i], night); got != want { // the night says nothing of what goes out
			t.Errorf("%s sends: %d, want %d", c.Users[i].Name, got, want)
		}
	}
	if got := c.HoldOut(c.Users[2], sunday); got != 0 {
		t.Errorf("on Sunday: %d", got)
	}
	if c.HoldExpire(Box{}) != 7*24*time.Hour || c.HoldExpire(Box{HoldExpireDays: &expire}) != 0 {
		t.Error("expiry")
	}
}

// Who stands in the users file is a user, to all that names one.
func TestUsersFile(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(office, "[office]", "[storage]\ndir = \"data\"\n[office]", 1) + box + "deliver_to = [\"erin/Mail\"]\n"
	load := func(users string) (*Config, error) {
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "data", "users"), []byte(users), 0o600); err != nil {
			t.Fatal(err)
		}
		return Parse(filepath.Join(dir, "outpost.toml"), []byte(text))
	}
	c, err := load("erin:\nann:\n")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range c.Users {
		names = append(names, u.Name)
		if u.FromUsersFile != (u.Name == "erin") || !u.Calls() || u.Internal() || u.ServerName() == "" && u.Name == "ben" {
			t.Errorf("%+v", u)
		}
	}
	if want := []string{"ann", "ben", "erin"}; !slices.Equal(names, want) {
		t.Errorf("users %v, want %v", names, want)
	}
	for name, want := range map[string]string{"erin": "user", "news": "folder", "staff": "list", "exchange": "server", "frank": ""} {
		if got := c.Kind(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	// As it may be later.
	names = nil
	for _, u := range c.UsersWith([]string{"frank", "ann"}) {
		names = append(names, u.Name)
	}
	if want := []string{"ann", "ben", "frank"}; !slices.Equal(names, want) {
		t.Errorf("users later %v, want %v", names, want)
	}

	for users, fault := range map[string]string{
		"ann:\n":                "deliver_to = erin/Mail: no user",
		"erin:\nnews:\n":        `folder "news".name = news: there is a user of that name already`,
		"erin:\nfrank:geheim\n": `storage.users_file: ` + filepath.Join(dir, "data", "users") + `: line 2: user "frank"`,
	} {
		if _, err := load(users); err == nil || !strings.Contains(err.Error(), fault) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: no fault says %s in:\n%v", users, fault, err)
		}
	}
}
