//go:build !unix

package link

import (
	"os"
	"os/exec"
)

// ownGroup is known on Unix only.
func ownGroup(*exec.Cmd) {}

// endGroup ends the program: there is nothing to ask it with here.
func endGroup(p *os.Process, _ bool) error { return p.Kill() }
