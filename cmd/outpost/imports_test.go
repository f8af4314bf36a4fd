package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rule bans imports of one package, outside of its tests.
type rule struct {
	of     string   // package, or prefix ending in /...
	may    []string // packages of this module it may import; nil: see never
	never  []string // packages it must not import, of this module or any other
	reason string
}

// floors are the packages of the house from the ground up. A package may import
// only what lies on a floor below its own, but for the exceptions.
var floors = [][]string{
	{"outpost/internal/patience", "outpost/internal/tickets", "outpost/internal/clients", "outpost/internal/dsn", "outpost/internal/mailaddr", "outpost/internal/freshdir"},
	{"outpost/spool", "outpost/modem", "outpost/internal/ppp", "outpost/internal/relay", "outpost/internal/pop3",
		"outpost/internal/lmtp", "outpost/internal/identity", "outpost/internal/route",
		"outpost/internal/schedule", "outpost/internal/tariff", "outpost/configs"},
	{"outpost/modem/modemtest", "outpost/queue", "outpost/internal/link", "outpost/internal/maildir", "outpost/internal/users"},
	{"outpost/internal/session", "outpost/internal/smtpd", "outpost/internal/mailroom", "outpost/internal/notice", "outpost/internal/imapd",
		"outpost/internal/isp", "outpost/internal/config"},
	{"outpost/internal/dispatch"},
	{"outpost/internal/control"},
	{"outpost/cmd/outpost", "outpost/internal/peers", "outpost/internal/peers/guest",
		"outpost/bench", "outpost/bench/cmd/linksim", "outpost/bench/cmd/mailgen", "outpost/bench/cmd/sidebyside"},
}

var rules = []rule{
	{of: "outpost/spool", may: []string{}, reason: "the ground floor stands on nothing: bodies must be readable by any tool that has them"},
	{of: "outpost/queue", may: []string{"outpost/spool"}, reason: "the durability promise must be reviewable without knowing a protocol"},
	{of: "outpost/modem", may: []string{}, reason: "a modem knows nothing of PPP, mail or money"},
	{of: "outpost/internal/ppp", may: []string{}, reason: "PPP runs over any stream and is tested over pipes"},
	{of: "outpost/internal/relay", may: []string{"outpost/internal/patience", "outpost/internal/dsn", "outpost/internal/mailaddr"},
		reason: "protocol code takes a conn, never a line or a queue; how long to bear with silence is the same for all, and so is how addresses are written"},
	{of: "outpost/internal/pop3", may: []string{"outpost/internal/patience"},
		reason: "protocol code takes a conn, never a line or a queue; how long to bear with silence is the same for all"},
	{of: "outpost/internal/mailaddr", may: []string{}, reason: "pure: what may stand in a command"},
	{of: "outpost/internal/dsn", may: []string{}, reason: "pure: what is a sender told; when and by which way is for others"},
	{of: "outpost/internal/maildir", may: []string{"outpost/spool"}, reason: "a mailbox at rest knows neither who it is for nor who reads it"},
	{of: "outpost/internal/users", may: []string{"outpost/spool", "outpost/internal/route"},
		reason: "who may sign in is to be read as a whole, whatever door asks; a name is what a mailbox may be called"},
	{of: "outpost/internal/lmtp", may: []string{"outpost/internal/patience", "outpost/internal/mailaddr"},
		reason: "protocol code takes a conn, never a line or a queue; how long to bear with silence is the same for all, and so is how addresses are written"},
	{of: "outpost/internal/identity", may: []string{"outpost/internal/mailaddr"}, reason: "pure: what a header becomes, by whatever table"},
	{of: "outpost/internal/route", may: []string{}, reason: "pure: where a message goes and why"},
	{of: "outpost/internal/imapd", may: []string{"outpost/internal/clients", "outpost/internal/maildir", "outpost/spool"}, reason: "it shows what is on the disk, whoever put it there"},
	{of: "outpost/internal/clients", may: []string{}, reason: "who is connected is the same for every protocol"},
	{of: "outpost/internal/tickets", may: []string{}, reason: "what it holds is secret: it is to be read as a whole"},
	{of: "outpost/internal/schedule", may: []string{}, reason: "pure: when is the next call"},
	{of: "outpost/internal/tariff", may: []string{}, reason: "pure: what do these seconds cost"},
	{of: "outpost/internal/link", may: []string{"outpost/modem", "outpost/internal/ppp"}, reason: "a way up carries anything; it must not know mail"},
	{of: "outpost/internal/session", never: []string{"outpost/modem", "outpost/internal/link", "outpost/internal/ppp", "gvisor.dev/gvisor/..."},
		reason: "a session sees a line through its own small interface, so that every kind of line fits and tests need none"},
	{of: "outpost/...", never: []string{"outpost/internal/config"}, reason: "configuration is pushed down as options; only cmd reads it"},
	{of: "outpost/...", never: []string{"outpost/internal/isp", "outpost/modem/modemtest"}, reason: "what pretends stays out of what runs; only the demo has both"},
	{of: "outpost/...", never: []string{"outpost/internal/peers", "outpost/internal/freshdir", "testing"}, reason: "tests' tools stay in tests"},
	{of: "outpost/...", never: []string{"os/signal"}, reason: "only cmd handles signals"},
}

// exempt are the imports that a rule for all packages does not ban.
var exempt = map[string][]string{
	"outpost/cmd/outpost":       {"outpost/internal/config", "outpost/internal/isp", "outpost/modem/modemtest", "os/signal"},
	"outpost/internal/peers":    {"testing"},
	"outpost/internal/freshdir": {"testing"},
	"outpost/internal/isp":      {"outpost/modem/modemtest"},

	// Programs of their own, for the comparison only.
	"outpost/bench/cmd/linksim":    {"os/signal"},
	"outpost/bench/cmd/sidebyside": {"os/signal"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "outpost/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 15 {
		t.Fatalf("go list found only %d packages", len(list))
	}
	return list
}

func matches(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == prefix || strings.HasPrefix(path, prefix+"/")
	}
	return pattern == path
}

func TestImportsGoDownOnly(t *testing.T) {
	floor := make(map[string]int)
	for n, list := range floors {
		for _, p := range list {
			floor[p] = n
		}
	}
	for _, p := range packages(t) {
		own, known := floor[p.ImportPath]
		if !known {
			t.Errorf("%s has no floor: say in imports_test.go where it belongs", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			if below, ours := floor[i]; ours && below >= own {
				t.Errorf("%s imports %s, which is not on a floor below", p.ImportPath, i)
			}
		}
	}
}

func TestBannedImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, i := range p.Imports {
			for _, r := range rules {
				if matches(r.of, p.ImportPath) && r.bans(i) && !slices.Contains(exempt[p.ImportPath], i) {
					t.Errorf("%s imports %s: %s", p.ImportPath, i, r.reason)
				}
			}
		}
	}
}

func (r rule) bans(path string) bool {
	if slices.ContainsFunc(r.never, func(pattern string) bool { return matches(pattern, path) }) {
		return true
	}
	return r.may != nil && matches("outpost/...", path) && !slices.Contains(r.may, path)
}
