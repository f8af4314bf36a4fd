package link

import (
	"errors"
	"os"
	"os/exec"
)

// pppdPipes are pppd's connections with us: its line, both ways, and its log.
type pppdPipes struct {
	in       *os.File // what comes from the far end
	out, log *os.File
	theirs   []*os.File // pppd's ends, until it is started
}

// newPPPDPipes connects a command that isn't started yet. What it sends waits in
// as little room as there can be: it is sent octet by octet on the line, and
// what waits here delays everything behind it.
func newPPPDPipes(cmd *exec.Cmd) (*pppdPipes, error) {
	p := &pppdPipes{}
	var errs [3]error
	var in, out, log *os.File
	in, p.in, errs[0] = os.Pipe()
	p.out, out, errs[1] = os.Pipe()
	p.log, log, errs[2] = os.Pipe()
	p.theirs = []*os.File{in, out, log}
	if err := errors.Join(errs[:]...); err != nil {
		p.close()
		return nil, err
	}
	narrow(p.out)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, log
	return p, nil
}

// start starts the command. If it can't be, all is closed.
func (p *pppdPipes) start(cmd *exec.Cmd) error {
	err := cmd.Start()
	for _, f := range p.theirs {
		_ = f.Close()
	}
	p.theirs = nil
	if err != nil {
		p.close()
	}
	return err
}

// close closes what is open.
func (p *pppdPipes) close() {
	for _, f := range append([]*os.File{p.in, p.out, p.log}, p.theirs...) {
		if f != nil {
			_ = f.Close()
		}
	}
}
