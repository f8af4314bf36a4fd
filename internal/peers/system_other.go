//go:build !linux

package peers

import (
	"os"
	"os/exec"
)

// Need lets no server start on these systems; this only keeps the package, and
// the tests that import it, building there.

func ownSession(*exec.Cmd) {}

func runAs(*exec.Cmd, int, int) {}

func endGroup(cmd *exec.Cmd, done <-chan struct{}) {
	_ = cmd.Process.Kill()
	<-done
}

func pollable(f *os.File) (*os.File, error) { return f, nil }

func unread(*os.File) int { return 0 }
