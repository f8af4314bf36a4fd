package peers

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// xstate is a library that linux.uml needs on processors with AMX.
//
//go:embed uml/xstate.c
var xstate string

const (
	// guestProgram is process 1 of a guest.
	guestProgram = "outpost/internal/peers/guest"
	// secrets are for pppd: who may come in from where, with which password, as
	// which address (pppd(8)).
	secrets = PPPDUser + " * " + PPPDPassword + " *\n"
)

// needUML ends the test, as Need does, unless a guest can be started.
func needUML(t testing.TB) {
	t.Helper()
	Need(t, "linux.uml", "pppd", "ldd", "go")
	if needsXState() {
		Need(t, "gcc")
	}
}

// needsXState tells whether the processor's state is longer than linux.uml knows.
func needsXState() bool {
	info, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && strings.Contains(string(info), " amx_tile")
}

// buildXState returns the path of the library, made in dir.
func buildXState(t testing.TB, dir string) string {
	t.Helper()
	library := filepath.Join(dir, "xstate.so")
	cmd := command(t, "gcc", "-O2", "-shared", "-fPIC", "-o", library, "-x", "c", "-")
	cmd.Stdin = strings.NewReader(xstate)
	run(t, cmd)
	return library
}

// makeRoot makes the root file system of a guest: process 1, pppd with the libraries
// it is linked with, PPP's kernel modules, and configuration of its own.
func makeRoot(t testing.TB, root string) {
	t.Helper()
	for _, dir := range []string{"dev", "etc/ppp", "modules", "proc", "run", "sys", "tmp", "var/run"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := command(t, "go", "build", "-buildvcs=false", "-o", filepath.Join(root, "init"), guestProgram)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	run(t, build)
	pppd := find("pppd")
	copyFile(t, pppd, filepath.Join(root, "usr/sbin/pppd"))
	for _, library := range regexp.MustCompile(`/\S+`).FindAllString(run(t, command(t, "ldd", pppd)), -1) {
		copyFile(t, library, filepath.Join(root, library))
	}
	for n, module := range pppModules(t) {
		copyFile(t, module, filepath.Join(root, "modules", strconv.Itoa(10+n)+".ko"))
	}
	for name, content := range map[string]string{"options": "", "pap-secrets": secrets, "chap-secrets": secrets} {
		path := filepath.Join(root, "etc/ppp", name)
		write(t, path, content)
		if err := os.Chmod(path, 0o600); err != nil { // pppd complains of others
			t.Fatal(err)
		}
	}
}

// pppModules are the kernel's modules for PPP on serial lines and its compressions,
// each behind those that it needs.
func pppModules(t testing.TB) []string {
	t.Helper()
	lists, err := filepath.Glob("/usr/lib/uml/modules/*/modules.dep")
	if err != nil || len(lists) != 1 {
		t.Fatalf("user-mode Linux has %d sets of modules: %v", len(lists), err)
	}
	text, err := os.ReadFile(lists[0])
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	seen := make(map[string]bool)
	for _, name := range []string{"ppp_async", "ppp_deflate", "bsd_comp"} {
		for _, path := range needed(string(text), name) {
			if !seen[path] {
				seen[path] = true
				paths = append(paths, filepath.Join(filepath.Dir(lists[0]), path))
			}
		}
	}
	return paths
}

// needed reads of a modules.dep (modules.dep(5)) what a module needs, in the order
// to insert it, the module last.
func needed(dep, module string) []string {
	for line := range strings.Lines(dep) {
		path, others, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && filepath.Base(path) == module+".ko" {
			all := append([]string{path}, strings.Fields(others)...)
			slices.Reverse(all) // the file has what is needed first at the end
			return all
		}
	}
	return nil
}

// copyFile makes a file that may be read and run, and the folders it is in. Links are
// followed; rights and owners are not taken over.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// run runs a command to its end and returns what it said.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}
