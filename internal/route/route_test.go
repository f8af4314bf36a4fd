package route

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// office is a book with one of everything.
func office() Options {
	return Options{
		Hostname: "gate.clinic.example",
		Domains:  []string{"clinic.example", "bücher.example"},
		Users: []User{
			{Name: "ann", Addresses: []string{"a.smith", "ann@isp.example"}, MayCall: true},
			{Name: "bob", Addresses: []string{"info@clinic.example"}},
			{Name: "eve", Server: "exchange", ServerAddress: "eve@corp.local", Internal: true},
			{Name: "dan", Server: "exchange"},
		},
		Folders: []Folder{
			{Name: "news", Addresses: []string{"info@clinic.example"}, Read: []string{"*"}, Write: []string{"ann"}},
			{Name: "archive"},
		},
		Lists: []List{
			{Name: "staff", Members: []string{"ann", "bob", "eve", "board", "carl@other.example"}},
			{Name: "board", Addresses: []string{"board@clinic.example", "chair"}, Members: []string{"staff", "news/Board", "ann@clinic.example", "exchange:chair@corp.local"}},
			{Name: "friends", Members: []string{"carl@other.example", "Dora@Other.example"}},
		},
		Servers: []Server{{Name: "exchange"}},
	}
}

func table(t testing.TB, change func(*Options)) *Table {
	t.Helper()
	opt := office()
	if change != nil {
		change(&opt)
	}
	tab, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestAddress(t *testing.T) {
	tab := table(t, nil)
	tests := []struct {
		addr   string
		places string // with spaces; "" none
		ours   bool
	}{
		// Names and aliases, in all forms that are one.
		{"ann@clinic.example", "ann", true},
		{"ANN@Clinic.Example.", "ann", true},
		{`"ann"@clinic.example`, "ann", true},
		{"ann@bücher.example", "ann", true},
		{"ann@xn--bcher-kva.example", "ann", true},
		{"a.smith@bücher.example", "ann", true},
		{"ann@isp.example", "ann", false},
		// Details.
		{"ann+radio@clinic.example", "ann", true},
		{"ann+a+b@isp.example", "ann", false},
		{"+ann@clinic.example", "", true},
		// One address of several.
		{"info@clinic.example", "bob news", true},
		// On a server.
		{"eve@clinic.example", "exchange:eve@corp.local", true},
		{"dan@clinic.example", "exchange:dan@clinic.example", true},
		// Folders have the addresses that they are given, and no others.
		{"news@clinic.example", "", true},
		// Lists, one in another and in circles; those outside are left out.
		{"staff@clinic.example", "ann bob exchange:eve@corp.local news/Board exchange:chair@corp.local", true},
		{"chair@bücher.example", "ann bob exchange:eve@corp.local news/Board exchange:chair@corp.local", true},
		{"friends@clinic.example", "", true},
		// The postmaster, with all the names of this place.
		{"postmaster@clinic.example", "unrouted", true},
		{"Postmaster", "unrouted", true},
		{"postmaster@gate.clinic.example", "unrouted", false},
		{"postmaster@other.example", "", false},
		// Nobody.
		{"zoe@clinic.example", "", true},
		{"zoe", "", true},
		{"", "", true},
		{"zoe@other.example", "", false},
	}
	for _, tt := range tests {
		places, ours := tab.Address(tt.addr)
		if got := strings.Join(places, " "); got != tt.places || ours != tt.ours {
			t.Errorf("%q: %q, ours %v; want %q, %v", tt.addr, got, ours, tt.places, tt.ours)
		}
	}
}

func TestExpand(t *testing.T) {
	tab := table(t, nil)
	tests := map[string][]Target{
		"ann@clinic.example":     {{Place: "ann"}},
		"friends@clinic.example": {{Addr: "carl@other.example", List: "friends"}, {Addr: "Dora@Other.example", List: "friends"}},
		"Carl@other.example":     {{Addr: "Carl@other.example"}},
		"zoe@clinic.example":     nil,
	}
	for addr, want := range tests {
		if got := tab.Expand(addr); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", addr, got, want)
		}
	}
	last := tab.Expand("board@clinic.example")
	if got := last[len(last)-1]; got != (Target{Addr: "carl@other.example", List: "staff"}) {
		t.Errorf("the board's last is %+v: a member of a list in it is named with that list", got)
	}
}

func TestSender(t *testing.T) {
	tab := table(t, nil)
	tests := []struct{ login, from, want string }{
		{"eve", "ann@clinic.example", "eve"}, // the login counts
		{"", "ann@isp.example", "ann"},
		{"unheard-of", "ann+x@clinic.example", "ann"},
		{"", "info@clinic.example", "bob"},    // the user, not the folder
		{"", "postmaster@clinic.example", ""}, // a mailbox, nobody's
		{"", "staff@clinic.example", ""},      // a list is nobody
		{"news", "", ""},                      // nor is a folder
		{"", "", ""}, {"", "x@y.example", ""}, // outside
	}
	for _, tt := range tests {
		if u, ok := tab.Sender(tt.login, tt.from); u.Name != tt.want || ok != (tt.want != "") {
			t.Errorf("%q, %q: %q, %v; want %q", tt.login, tt.from, u.Name, ok, tt.want)
		}
	}
}

func TestBook(t *testing.T) {
	tab := table(t, nil)
	if got := tab.Mailboxes(); !slices.Equal(got, []string{"ann", "archive", "bob", "news", "unrouted"}) {
		t.Errorf("mailboxes: %q", got)
	}
	if got := tab.Primary("ann"); got != "ann@clinic.example" {
		t.Errorf("ann's primary: %q", got)
	}
	if got := tab.Primary("unrouted"); got != "postmaster@clinic.example" {
		t.Errorf("the primary of what can't be placed: %q", got)
	}
	news, ok := tab.Folder("news")
	if !ok || !news.MayRead("bob") || news.MayWrite("bob") || !news.MayWrite("ann") {
		t.Errorf("news: %+v %v", news, ok)
	}
	archive, _ := tab.Folder("archive")
	if archive.MayRead("ann") {
		t.Error("a folder nobody was given can be read")
	}
	if _, ok := tab.Folder("ann"); ok {
		t.Error("a user is a folder")
	}
	if _, ok := tab.User("news"); ok {
		t.Error("a folder is a user")
	}
	if len(tab.Folders()) != 2 || tab.Unplaced() != "unrouted" {
		t.Errorf("%v %q", tab.Folders(), tab.Unplaced())
	}
	if tab := table(t, func(o *Options) { o.Unplaced = "dan" }); tab.Unplaced() != "exchange:dan@clinic.example" {
		t.Errorf("unplaced mail of one on a server: %q", tab.Unplaced())
	}
}

func TestDeliveredTo(t *testing.T) {
	tests := []struct{ host, place, want string }{
		{"gate.clinic.example", "ann", "ann@gate.clinic.example"},
		{"gate.clinic.example", "ann/Radio", "ann@gate.clinic.example"},
		{"gate.clinic.example", "exchange:Eve Smith@corp.local", "unknown@gate.clinic.example"},
		{"gate.clinic.example", "exchange:Eve/X@corp.local", "exchange+eve_x=corp.local@gate.clinic.example"},
		// The provider writes ann@clinic.example itself, and localhost is everybody's.
		{"clinic.example", "ann", "ann@outpost.clinic.example"},
		{"", "ann", "ann@outpost.localhost"},
	}
	for _, tt := range tests {
		tab := table(t, func(o *Options) { o.Hostname = tt.host })
		got := tab.DeliveredTo(tt.place)
		if got != tt.want {
			t.Errorf("%s: %s: %q, want %q", tt.host, tt.place, got, tt.want)
		}
		if p, err := ParsePlace(tt.place); err == nil && !tab.marked(canonical(got)) {
			t.Errorf("%s: %v: %q is not known again", tt.host, p, got)
		}
	}
}

func TestHome(t *testing.T) {
	tab := table(t, nil)
	tests := []struct {
		place, home string
		ok          bool
	}{
		{"ann", "ann", true},
		{"ann/Radio", "ann/Radio", true},
		{"news/inbox", "news", true},
		{"exchange:x@corp.local", "exchange:x@corp.local", true},
		{"unrouted", "unrouted", true},
		{"dan", "exchange:dan@clinic.example", true},
		{"dan/Radio", "exchange:dan@clinic.example", true}, // he has moved to the server
		{"gone", "unrouted", false},
		{"gone/Radio", "unrouted", false},
		{"gone:x@corp.local", "unrouted", false},
		{"staff", "unrouted", false},
		{"../x", "unrouted", false},
		{"", "unrouted", false},
	}
	for _, tt := range tests {
		if p, ok := tab.Home(tt.place); p.String() != tt.home || ok != tt.ok {
			t.Errorf("%q: %v, %v; want %q, %v", tt.place, p, ok, tt.home, tt.ok)
		}
	}
}

func TestParsePlace(t *testing.T) {
	tests := []struct {
		text string
		want Place
		bad  bool
	}{
		{text: "ann", want: Place{Mailbox: "ann"}},
		{text: "ann/Radio/Über uns", want: Place{Mailbox: "ann", Folder: "Radio/Über uns"}},
		{text: "ann/Inbox", want: Place{Mailbox: "ann"}},
		{text: "ex:ann@x.example", want: Place{Server: "ex", Address: "ann@x.example"}},
		{text: "ex:a/b@x.example", want: Place{Server: "ex", Address: "a/b@x.example"}},
		// What would lead out of a folder, or be another one on the disk.
		{text: "", bad: true},
		{text: "..", bad: true},
		{text: "Ann", bad: true},
		{text: "con", bad: true},
		{text: "ann/", bad: true},
		{text: "ann/../bob", bad: true},
		{text: "ann/a.b", bad: true},
		{text: "ann//b", bad: true},
		{text: "ann/ b", bad: true},
		{text: "ann/b\x00", bad: true},
		{text: "ann/b\xff", bad: true},
		{text: "ann/" + strings.Repeat("x", 81), bad: true},
		{text: "ex:", bad: true},
		{text: "ex:ann", bad: true},
		{text: "ex:<ann@x.example>", bad: true},
		{text: ":ann@x.example", bad: true},
	}
	for _, tt := range tests {
		got, err := ParsePlace(tt.text)
		if bad := err != nil; bad != tt.bad || !bad && got != tt.want {
			t.Errorf("%q: %+v, %v", tt.text, got, err)
		}
		if err == nil {
			if again, err := ParsePlace(got.String()); err != nil || again != got {
				t.Errorf("%q is written %q, which is %+v, %v", tt.text, got, again, err)
			}
		}
	}
}

func TestCollapse(t *testing.T) {
	tests := []struct{ in, want string }{
		{"ann ann bob", "ann bob"},
		{"ann ann/Radio", "ann/Radio"},
		{"ann/Radio ann", "ann/Radio"},
		{"ann/Radio ann/News ann", "ann/Radio ann/News"},
		{"ex:Ann@X.example ex:ann@x.example ey:ann@x.example", "ex:Ann@X.example ey:ann@x.example"},
	}
	for _, tt := range tests {
		var list []Place
		for text := range strings.FieldsSeq(tt.in) {
			p, err := ParsePlace(text)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, p)
		}
		if got := strings.Join(texts(collapse(list)), " "); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}
