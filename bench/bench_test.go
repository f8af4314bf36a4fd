//go:build linux

// Package bench is scripts and programs only; see README.md. Its test is one real,
// short measurement.
package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"outpost/internal/peers"
)

// TestOneRun makes a whole run: line, servers, Outpost, two calls, the verdict. What
// it takes is judged by "make bench" alone; a test shares its machine.
func TestOneRun(t *testing.T) {
	t.Parallel()
	peers.NeedRoot(t, "the line's network namespaces and interfaces are for root only")
	peers.Need(t, "pop3-login", "postconf", "dnsmasq", "ip")
	if _, err := os.Stat("/dev/net/tun"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("no TUN interfaces here: ", err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "./bench.sh", "tiny", "landline33", "clients/outpost.sh")
	// The binary that bench.sh builds, wherever the PATH finds another.
	cmd.Env = append(os.Environ(), "CALLS=2", "OUTPOST_BIN="+filepath.Join(here, "bin", "outpost"), "TIMEOUT=120")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	var r struct {
		OK     bool    `json:"ok"`
		Status int     `json:"status"`
		LinkS  float64 `json:"link_s"`
		BoundS float64 `json:"bound_s"`
		TCP    int     `json:"tcp"`
		UDP    int     `json:"udp"`
		Out    struct{ Intact int }
		In     struct{ Intact int }
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Both workloads: 3 and 3 sent, 5 and 5 collected.
	if !r.OK || r.Status != 0 || r.Out.Intact != 6 || r.In.Intact != 10 {
		t.Errorf("not all mail arrived: %s", out)
	}
	// One connection to send, five boxes, addresses from /etc/hosts; and no packet of
	// the first call in the second one's figure.
	if r.TCP > 6 || r.UDP != 0 || r.LinkS <= r.BoundS || r.LinkS > 60 {
		t.Errorf("no figures of one call over this line: %s", out)
	}
}
