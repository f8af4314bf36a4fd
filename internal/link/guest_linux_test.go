package link

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"outpost/internal/peers"
)

// withPPP runs the test that calls it under a kernel that has PPP, and says
// whether this is one: the machine's own, or else a Linux that is booted in user
// mode for it, with the test as its only program.
func withPPP(t *testing.T) bool {
	t.Helper()
	if os.Getenv("OUTPOST_TEST_APART") == t.Name() {
		settleGuest(t)
		return true
	}
	if _, err := os.Stat("/dev/ppp"); err == nil && os.Geteuid() == 0 {
		peers.Need(t, "pppd")
		return true
	}
	peers.Need(t, "linux.uml", "pppd", "ldd", "go")
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	guestRoot(t, root)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "linux.uml", "umid=link", "uml_dir="+dir, "mem=128M", "quiet", //nolint:gosec // the test's own
		"rootfstype=hostfs", "root=none", "rootflags="+root, "ro", "init=/init", "con=null", "con0=null,fd:1", "ssl=null",
		"CI=true", "OUTPOST_TEST_APART="+t.Name(), "--", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return endGroup(cmd.Process, true) }
	var said []string
	out := &lineWriter{each: func(line string) {
		said = append(said, line)
		if line == "PASS" || line == "FAIL" || strings.HasPrefix(line, "Kernel panic") {
			cancel() // its only program has ended
		}
	}}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, holdWait
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	_ = endGroup(cmd.Process, true) // the kernel's helpers outlive one that ends by itself
	if !slices.ContainsFunc(said, func(line string) bool { return strings.HasPrefix(line, "--- PASS: "+t.Name()+" ") }) {
		t.Errorf("in the guest:\n%s", strings.Join(said, "\n"))
	}
	return false
}

// guestRoot makes the root file system: the test, pppd with the libraries it is
// linked with, and PPP's modules for the kernel.
func guestRoot(t *testing.T, root string) {
	t.Helper()
	for _, dir := range []string{"dev", "etc/ppp", "modules", "proc", "run", "sys", "tmp", "var/run"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil { //nolint:gosec // no secrets there
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(root, "init"), "outpost/internal/link")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pppd, err := findProgram("pppd")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{pppd: "usr/sbin/pppd"}
	linked, err := exec.CommandContext(t.Context(), "ldd", pppd).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, library := range regexp.MustCompile(`/\S+`).FindAllString(string(linked), -1) {
		files[library] = library
	}
	for n, module := range pppModules(t) {
		files[module] = "modules/" + strconv.Itoa(10+n) + ".ko"
	}
	for from, to := range files {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(root, to)), 0o755) //nolint:gosec // no secrets there
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(root, to), content, 0o755) //nolint:gosec // programs
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "etc/ppp/options"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// pppModules are the modules for PPP on a terminal, each behind what it needs
// (modules.dep(5)).
func pppModules(t *testing.T) (paths []string) {
	t.Helper()
	lists, err := filepath.Glob("/usr/lib/uml/modules/*/modules.dep")
	if err != nil || len(lists) != 1 {
		t.Fatalf("user-mode Linux has %d sets of modules: %v", len(lists), err)
	}
	list, err := os.Open(lists[0])
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	for lines := bufio.NewScanner(list); lines.Scan(); {
		path, needs, _ := strings.Cut(lines.Text(), ":")
		if filepath.Base(path) != "ppp_async.ko" {
			continue
		}
		all := append([]string{path}, strings.Fields(needs)...)
		slices.Reverse(all)
		for _, p := range all {
			paths = append(paths, filepath.Join(filepath.Dir(lists[0]), p))
		}
	}
	return paths
}

// settleGuest makes a booted kernel fit for the test.
func settleGuest(t *testing.T) {
	t.Helper()
	for _, m := range []struct{ kind, dir string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/var/run"}, {"tmpfs", "/tmp"},
	} {
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			t.Fatalf("mount %s: %v", m.dir, err)
		}
	}
	modules, err := filepath.Glob("/modules/*.ko") // sorted, which is the order they need
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range modules {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		f.Close()
	}
}
