package queue

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"outpost/spool"
)

// The test binary starts itself again as the process that is killed. What it is
// to do stands in these variables.
const (
	envDir  = "QUEUE_TEST_DIR"  // the queue to open; set = be the victim
	envKill = "QUEUE_TEST_KILL" // the step to be killed at; "" = go on until killed
	envWhat = "QUEUE_TEST_WHAT" // a story's name, "sent" or "load"
)

// stepTold is after the commit and before Add has returned.
const stepTold = "told"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		if err := victim(dir, os.Getenv(envWhat), os.Getenv(envKill)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// victim does its work and says on standard output what was acknowledged. At the
// step it is to die at, it kills itself with a signal that can't be caught.
func victim(dir, what, at string) error {
	die := func(step string) error {
		if step == at {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			if err != nil {
				return err
			}
			select {} // nothing happens after it
		}
		return nil
	}
	q, err := Open(dir, Options{Step: die, OnAdd: func(Message) { _ = die(stepTold) }})
	if err != nil {
		return err
	}
	switch what {
	case "load":
		return load8(q)
	case "sent":
		list, err := q.List()
		if err != nil {
			return err
		}
		return q.Update(context.Background(), list[0].ID, sendAll)
	}
	for _, s := range stories() {
		if s.name == what {
			if _, err := q.Add(context.Background(), s.m, strings.NewReader(newBody)); err != nil {
				return err
			}
			fmt.Println("acked")
		}
	}
	return nil
}

// load8 adds collected messages from eight goroutines until it is killed.
func load8(q *Queue) error {
	failed := make(chan error)
	for worker := range 8 {
		go func() {
			for i := 0; ; i++ {
				uidl := fmt.Sprintf("u-%d-%d", worker, i)
				if _, err := q.Add(context.Background(), collected(uidl), strings.NewReader(uidl)); err != nil {
					failed <- err
					return
				}
				fmt.Println(uidl)
			}
		}()
	}
	return <-failed
}

func victimCommand(t *testing.T, dir, what, at string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), envDir+"="+dir, envWhat+"="+what, envKill+"="+at)
	cmd.Stderr = os.Stderr
	return cmd
}

// run lets the victim run to its end and returns what it said. It must have been
// killed exactly when that was the plan.
func run(t *testing.T, dir, what, at string) string {
	t.Helper()
	out, err := victimCommand(t, dir, what, at).Output()
	if killed := err != nil && strings.Contains(err.Error(), killedWord); killed != (at != "") {
		t.Fatalf("killed: %v (%v), planned: %q", killed, err, at)
	}
	return string(out)
}

func TestKillAtEveryStepOfAdd(t *testing.T) {
	for _, s := range stories() {
		for _, at := range append(s.steps, stepTold, "") {
			t.Run(s.name+" "+at, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				s.begin(t, dir)
				out := run(t, dir, s.name, at)
				if acked := strings.Contains(out, "acked"); acked != (at == "") {
					t.Fatalf("the victim said %q", out)
				}
				// After the commit the message must be there, told or not.
				s.check(t, dir, at == stepTold || at == "")
			})
		}
	}
}

func TestKillInUpdateToAllSent(t *testing.T) {
	for at, rows := range map[string]int{StepCommit: 1, spool.StepRemove: 0, "": 0} {
		t.Run(at, func(t *testing.T) {
			dir := t.TempDir()
			q := open(t, dir, Options{})
			m := add(t, q, submitted("x"), "body")
			shut(t, q)
			run(t, dir, "sent", at)
			if at == spool.StepRemove {
				if _, err := os.Stat(filepath.Join(dir, "spool", string(m.ID))); err != nil {
					t.Errorf("the kill was to leave an orphan: %v", err)
				}
			}
			q = open(t, dir, Options{})
			if l, files := list(t, q), bodies(t, dir); len(l) != rows || len(files) != rows {
				t.Errorf("rows %+v, files %v", l, files)
			}
		})
	}
}

// Killed from outside in the middle of heavy work, wherever that is.
func TestKillUnderLoad(t *testing.T) {
	for _, after := range []int{1, 20, 77, 200} {
		dir := t.TempDir()
		cmd := victimCommand(t, dir, "load", "")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acked := make(map[string]bool)
		lines := bufio.NewScanner(out)
		for lines.Scan() { // also what it still said before it died
			acked[lines.Text()] = true
			if len(acked) == after {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || len(acked) < after {
			t.Errorf("the victim ended by itself after %d: %v", len(acked), err)
		}
		checkLoad(t, dir, acked, false)
	}
}
