package link

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// guardLimit bounds one run of nft(8), which takes milliseconds.
const guardLimit = 10 * time.Second

// guard keeps everybody else off a line that the system carries: a table of
// nftables with nothing of the computer's own rules in it. While it is there, only
// this process's user sends on the interface, and nothing is routed out of it.
//
// What it can't tell from others': packets that the kernel sends for nobody, such
// as a reset, and the last words of connections that are closed already. They are
// dropped, and cost nothing. And all that runs as the same user may send; as root,
// that is a lot.
type guard struct {
	table string
	iface string
	uid   int
}

// newGuard is for a line's interface, by its name, which need not be there yet.
func newGuard(line, iface string) guard {
	return guard{table: "outpost_" + word(line), iface: iface, uid: os.Getuid()}
}

// word makes of a line's name one that nft takes.
func word(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}

// rules are one transaction: an older table of ours, left by a crash, goes with
// it. A packet without a user matches no skuid, so who may send is said first and
// all else is dropped.
func (g guard) rules() string {
	return fmt.Sprintf(`table inet %[1]s
delete table inet %[1]s
table inet %[1]s {
	chain output {
		type filter hook output priority filter; policy accept;
		oifname "%[2]s" meta skuid %[3]d accept
		oifname "%[2]s" counter drop
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		oifname "%[2]s" counter drop
	}
}
`, g.table, g.iface, g.uid)
}

// install puts the guard up. The error is a *ProgramError.
func (g guard) install(ctx context.Context) error {
	err := g.nft(ctx, g.rules())
	if err != nil {
		return fmt.Errorf("the guard: %w", err)
	}
	return nil
}

// remove takes the guard away, if it is there.
func (g guard) remove(ctx context.Context) error {
	return g.nft(ctx, fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\n", g.table))
}

func (g guard) nft(ctx context.Context, rules string) error {
	ctx, cancel := context.WithTimeout(ctx, guardLimit)
	defer cancel()
	nft, err := findProgram("nft")
	if err != nil {
		return &ProgramError{Program: "nft", Err: err, Hint: "guard needs nftables: install it, or switch guard off"}
	}
	cmd := exec.CommandContext(ctx, nft, "-f", "-") //nolint:gosec // the system's own program
	cmd.Stdin = strings.NewReader(rules)
	said, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	first, _, _ := strings.Cut(string(said), "\n")
	return &ProgramError{Program: "nft", Said: printable(first), Err: err,
		Hint: "guard needs nftables in the kernel, and root or CAP_NET_ADMIN: see to that, or switch guard off"}
}

// findProgram looks where a system's programs are, which an ordinary user's PATH
// often leaves out.
func findProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || strings.ContainsRune(name, '/') {
		return path, err
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return "", err
}
