package modemtest

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// With HUPCL a call ends when the last process lets go of the terminal, and only
// then; without it, it goes on.
func TestHUPCL(t *testing.T) {
	for _, hupcl := range []bool{true, false} {
		m := New(Options{HUPCL: hupcl})
		defer m.Close()
		name, err := m.PTY()
		if err != nil {
			t.Fatal(err)
		}
		open := func() *os.File {
			f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		until := func(what string, true func(Counters) bool) {
			t.Helper()
			for range 500 {
				if true(m.Counters()) {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Fatalf("HUPCL %v: waited in vain for %s: %+v", hupcl, what, m.Counters())
		}
		for n := 1; n <= 2; n++ { // and again after it was closed
			first := open()
			second := open()
			if _, err := first.WriteString("ATD1\r"); err != nil {
				t.Fatal(err)
			}
			until("a call", func(c Counters) bool { return c.OffHook })
			first.Close()
			time.Sleep(50 * time.Millisecond)
			if !m.Counters().OffHook {
				t.Fatal("hung up while the terminal was open")
			}
			if !hupcl {
				second.Close()
				time.Sleep(50 * time.Millisecond)
				if !m.Counters().OffHook {
					t.Error("hung up by a close")
				}
				break
			}
			second.Close()
			until("the hang-up", func(c Counters) bool { return !c.OffHook && c.Hangups == n })
		}
		if got := strings.Join(m.Counters().Commands, " "); !strings.HasPrefix(got, "D1") {
			t.Errorf("commands %q", got)
		}
	}
}
