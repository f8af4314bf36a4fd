package patience

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const minute = time.Minute

// bubble runs f with a Conn of one minute's patience and its far end, and checks that nothing of it is left open.
func bubble(t *testing.T, f func(t *testing.T, c *Conn, far net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := New(near, minute)
		f(t, c, far)
		_ = far.Close()
		_ = c.Close()
	})
}

// trickle takes n octets from far, one every 10 s.
func trickle(far io.Reader, n int) {
	octet := make([]byte, 1)
	for range n {
		time.Sleep(10 * time.Second)
		_, _ = far.Read(octet)
	}
}

func TestSilence(t *testing.T) {
	for name, use := range map[string]func(*Conn) (int, error){
		"read":  func(c *Conn) (int, error) { return c.Read(make([]byte, 1)) },
		"write": func(c *Conn) (int, error) { return c.Write(make([]byte, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, c *Conn, far net.Conn) {
				begun := time.Now()
				if n, err := use(c); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != minute {
					t.Errorf("%d, %v after %v", n, err, time.Since(begun))
				}
				// Given up for good: the far end sees it, and no call waits or finds another reason.
				if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("left open: %v", err)
				}
				c.SetPatience(time.Hour)
				_, readErr := c.Read(make([]byte, 1))
				_, writeErr := c.Write(make([]byte, 1))
				if !errors.Is(readErr, os.ErrDeadlineExceeded) || !errors.Is(writeErr, os.ErrDeadlineExceeded) || time.Since(begun) != minute {
					t.Errorf("afterwards: %v, %v after %v", readErr, writeErr, time.Since(begun))
				}
			})
		})
	}
}

func TestEveryReadCountsAnew(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, far net.Conn) {
		go func() {
			for range 10 {
				time.Sleep(minute - time.Second)
				_, _ = far.Write([]byte("x"))
			}
		}()
		if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
			t.Error(err)
		}
	})
}

// One Write of twenty minutes, and a Read beside it that hears nothing all the while: its minute begins when the Write has ended.
func TestSlowIsNotSilent(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, far net.Conn) {
		begun := time.Now()
		waited := make(chan time.Duration, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v", err)
			}
			waited <- time.Since(begun)
		}()
		go trickle(far, 120)
		if n, err := c.Write(make([]byte, 120)); n != 120 || err != nil || time.Since(begun) != 20*minute {
			t.Errorf("%d, %v after %v", n, err, time.Since(begun))
		}
		if w := <-waited; w != 21*minute {
			t.Errorf("the read waited %v", w)
		}
	})
}

// A Write that gets stuck halfway says how much has left: whether a message may have arrived hangs on that.
func TestStuckWrite(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, far net.Conn) {
		go trickle(far, 12)
		begun := time.Now()
		n, err := c.Write(make([]byte, 100))
		took := time.Since(begun)
		if n != 12 || !errors.Is(err, os.ErrDeadlineExceeded) || took < 3*minute || took > 4*minute {
			t.Errorf("%d, %v after %v", n, err, took)
		}
	})
}

func TestSetPatience(t *testing.T) {
	for name, test := range map[string]struct {
		d    time.Duration // set 30 s after the Read began
		want time.Duration // that the Read takes
	}{
		"longer":  {5 * minute, 5*minute + 30*time.Second},
		"shorter": {time.Second, 31 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, c *Conn, _ net.Conn) {
				time.AfterFunc(30*time.Second, func() { c.SetPatience(test.d) })
				begun := time.Now()
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != test.want {
					t.Errorf("%v after %v", err, time.Since(begun))
				}
				if c.Patience() != test.d {
					t.Errorf("the patience is %v", c.Patience())
				}
			})
		})
	}
}

// While a Write is under way a Read has no deadline, and SetPatience must not give it one.
func TestSetPatienceWhileWriting(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, far net.Conn) {
		go trickle(far, 30)
		time.AfterFunc(15*time.Second, func() { c.SetPatience(20 * time.Second) })
		begun := time.Now()
		read := make(chan time.Duration, 1)
		go func() {
			_, _ = c.Read(make([]byte, 1))
			read <- time.Since(begun)
		}()
		if n, err := c.Write(make([]byte, 30)); n != 30 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if took := <-read; took != 5*minute+20*time.Second {
			t.Errorf("the read took %v", took)
		}
	})
}

// A connection that somebody closes has not fallen silent.
func TestClosed(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(c *Conn, far net.Conn) error
		want error
	}{
		"here":  {func(c *Conn, _ net.Conn) error { return c.Close() }, io.ErrClosedPipe},
		"there": {func(_ *Conn, far net.Conn) error { return far.Close() }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, c *Conn, far net.Conn) {
				time.AfterFunc(time.Second, func() { _ = test.end(c, far) })
				begun := time.Now()
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, test.want) || time.Since(begun) != time.Second {
					t.Errorf("%v after %v", err, time.Since(begun))
				}
			})
		})
	}
}

func TestLost(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{os.ErrDeadlineExceeded, "nothing moved on the line for 1m30s: "},
		{io.EOF, "the server closed the connection: "},
		{fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), "the server closed the connection: "},
		{net.ErrClosed, "the connection was lost: "},
	} {
		err := Lost(test.err, 90*time.Second)
		if !errors.Is(err, test.err) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%v became %v", test.err, err)
		}
	}
}
