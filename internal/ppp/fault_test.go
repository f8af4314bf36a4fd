package ppp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// mute is a far end that hears and says nothing.
func mute() (near net.Conn, far net.Conn) {
	near, far = net.Pipe()
	go func() {
		buf := make([]byte, 4096)
		for {
			if _, err := far.Read(buf); err != nil {
				return
			}
		}
	}()
	return near, far
}

func TestMutePeer(t *testing.T) {
	for _, c := range []struct {
		name   string
		say    string // what the far end says, in text
		client Config
		least  time.Duration
		most   time.Duration
		hint   string
	}{
		{"all tries", "", Config{}, 20 * time.Second, 40 * time.Second, "Nothing at all"},
		{"time-out", "", Config{UpTimeout: 5 * time.Second}, 5 * time.Second, 5 * time.Second, "Nothing at all"},
		{"few tries", "", Config{RestartTimer: time.Second, MaxConfigure: 3}, 3 * time.Second, 3 * time.Second, "Nothing at all"},
		{"log-in", "login: ", Config{UpTimeout: 5 * time.Second}, 5 * time.Second, 5 * time.Second, "log-in in text"},
		{"wrong parity", "~garbage~", Config{UpTimeout: 5 * time.Second}, 5 * time.Second, 5 * time.Second, "8 bits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := mute()
				l := New(near, c.client)
				begun := time.Now()
				go far.Write([]byte(c.say))
				_, err := l.Up(context.Background())
				took := time.Since(begun)
				e := wantKind(t, "client", err, Timeout)
				if e.Phase != PhaseEstablish || !strings.Contains(e.Hint, c.hint) {
					t.Errorf("%+v", *e)
				}
				if took < c.least || took > c.most {
					t.Errorf("took %v", took)
				}
				l.Close(context.Background())
			})
		})
	}
}

// Ctx ends Up at once, whatever the peer does.
func TestUpContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := mute()
		l := New(near, Config{})
		ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err := l.Up(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 1500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		<-l.Done()
		l.Close(context.Background())
	})
}

// Close during Up ends it, as a watchdog needs.
func TestCloseDuringUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := mute()
		l := New(near, Config{})
		result := make(chan error, 1)
		go func() {
			_, err := l.Up(context.Background())
			result <- err
		}()
		synctest.Wait()
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Errorf("up gave %v", err)
		}
	})
}

// A peer that has died doesn't hold Close for ever, and ctx shortens it.
func TestCloseMutePeer(t *testing.T) {
	for _, limit := range []time.Duration{time.Minute, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			dead := make(chan struct{})
			w := wire{alter: func(_, _ int, b []byte) []byte {
				select {
				case <-dead:
					return nil
				default:
					return b
				}
			}}
			p := bringUp(t, w, clientConfig(), serverConfig(PAP))
			p.mustBeUp(t)
			close(dead)
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			begun := time.Now()
			err := p.client.Close(ctx)
			if took := time.Since(begun); took > min(limit, 5*time.Second) {
				t.Errorf("took %v", took)
			}
			if cut := limit < 4*time.Second; cut != errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// A far end that echoes, as a modem in test mode or a tty does.
func TestLoopback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go func() {
			octets := make(chan []byte, 1000)
			go func() {
				for b := range octets {
					far.Write(b)
				}
			}()
			defer close(octets)
			buf := make([]byte, 4096)
			for {
				n, err := far.Read(buf)
				if err != nil {
					return
				}
				octets <- append([]byte(nil), buf[:n]...)
			}
		}()
		l := New(near, clientConfig())
		begun := time.Now()
		_, err := l.Up(context.Background())
		e := wantKind(t, "client", err, Loopback)
		if e.Hint == "" || time.Since(begun) > 10*time.Second {
			t.Errorf("%+v after %v", *e, time.Since(begun))
		}
		far.Close()
		l.Close(context.Background())
	})
}

// The line is looped back while open: our own echo tells.
func TestLoopbackWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := clientConfig()
		cfg.EchoInterval = 5 * time.Second
		s, l, result := play(t, cfg)
		s.openLCP()
		s.openIPCP()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		s.put(protoLCP, s.next(protoLCP, codeEchoRequest))
		<-l.Done()
		wantKind(t, "client", l.Err(), Loopback)
	})
}

// Any one frame of the negotiation may be lost, either way, and it comes up in
// the time of a restart or two all the same.
func TestLostFrames(t *testing.T) {
	for _, way := range []AuthProtocol{PAP, CHAPMD5} {
		for end := range 2 {
			for lost := range 7 {
				synctest.Test(t, func(t *testing.T) {
					var up atomic.Bool // from then on nothing is lost
					w := wire{delay: 300 * time.Millisecond, alter: func(e, n int, b []byte) []byte {
						if e == end && n == lost && !up.Load() {
							return nil
						}
						return b
					}}
					p := bringUp(t, w, clientConfig(), serverConfig(way))
					p.mustBeUp(t)
					up.Store(true)
					if p.took > 10*time.Second {
						t.Errorf("%s, frame %d of end %d lost: took %v", way, lost, end, p.took)
					}
					p.exchange(t)
				})
			}
		}
	}
}

// One octet in 300 is damaged: worse than any line that a person would use.
func TestByteErrors(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			w := wire{delay: 100 * time.Millisecond, rate: 9600}
			w.alter = func(_, _ int, b []byte) []byte {
				for i := range b {
					if rng.IntN(300) == 0 {
						b[i] ^= 1 << rng.IntN(8)
					}
				}
				return b
			}
			w.alter = serialised(w.alter)
			client, server := clientConfig(), serverConfig(CHAPMD5)
			client.Rate, server.Rate = w.rate, w.rate
			p := bringUp(t, w, client, server)
			p.mustBeUp(t)
			for _, l := range []*Link{p.client, p.server} {
				l.Close(context.Background())
			}
			settle()
		})
	}
}

// serialised lets one direction at a time into f.
func serialised(f func(int, int, []byte) []byte) func(int, int, []byte) []byte {
	turn := make(chan struct{}, 1)
	return func(end, n int, b []byte) []byte {
		turn <- struct{}{}
		defer func() { <-turn }()
		return f(end, n, b)
	}
}

// Silence of 70 s, as satellites have, is survived with the usual settings; a
// dead peer is given up.
func TestEcho(t *testing.T) {
	for _, c := range []struct {
		name    string
		silence time.Duration
		alive   bool
	}{
		{"satellite", 70 * time.Second, true},
		{"dead", time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				silent := time.Now().Add(5 * time.Minute)
				w := wire{delay: 900 * time.Millisecond}
				w.alter = func(_, _ int, b []byte) []byte {
					if since := time.Since(silent); since >= 0 && since < c.silence {
						return nil
					}
					return b
				}
				client := clientConfig()
				client.EchoInterval = DefaultEchoInterval
				p := bringUp(t, w, client, serverConfig(PAP))
				p.mustBeUp(t)
				select {
				case <-p.client.Done():
				case <-time.After(30 * time.Minute):
				}
				if c.alive {
					if err := p.client.Err(); err != nil {
						t.Errorf("ended: %v", err)
					}
				} else {
					e := wantKind(t, "client", p.client.Err(), PeerSilent)
					if !e.Temporary || e.Phase != PhaseOpen {
						t.Errorf("%+v", *e)
					}
					if took := time.Since(silent); took > 2*time.Minute {
						t.Errorf("took %v", took)
					}
				}
			})
		})
	}
}

// A peer that watches the line with short echoes must get its replies while
// the line is saturated: control frames go first. And traffic is life: we ask
// nothing of a peer that is heard all the time.
func TestEchoOnSaturatedLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wire{delay: 100 * time.Millisecond, rate: 9600}
		client, server := clientConfig(), serverConfig(PAP)
		client.Rate, server.Rate = w.rate, w.rate
		server.EchoInterval, server.EchoFailures = 1*time.Second, 2
		p := bringUp(t, w, client, server)
		p.mustBeUp(t)
		flooded := make(chan error, 1)
		go func() {
			for {
				if err := p.server.WritePacket(make([]byte, 1400)); err != nil {
					flooded <- err
					return
				}
			}
		}()
		go func() {
			for buf := make([]byte, 1500); ; {
				if _, err := p.client.ReadPacket(buf); err != nil {
					return
				}
			}
		}()
		time.Sleep(2 * time.Minute)
		if err := p.server.Err(); err != nil {
			t.Errorf("server gave up: %v", err)
		}
		if got := p.client.Stats().PacketsIn; got < 40 {
			t.Errorf("%d packets in two minutes", got)
		}
		p.end(t)
		<-flooded
	})
}

// A peer that falls silent later is named by the phase it left us in, and gets
// a goodbye in case it hears.
func TestMuteLater(t *testing.T) {
	for _, c := range []struct {
		phase Phase
		opts  []option
	}{
		{PhaseNetwork, nil},
		{PhaseAuthenticate, []option{{lcpAuth, authValue(PAP)}}},
		{PhaseAuthenticate, []option{{lcpAuth, authValue(CHAPMD5)}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := clientConfig()
			cfg.RestartTimer, cfg.MaxConfigure = time.Second, 3
			cfg.UpTimeout = 20 * time.Second
			s, l, result := play(t, cfg)
			s.openLCP(c.opts...)
			begun := time.Now()
			e := wantKind(t, "client", <-result, Timeout)
			if e.Phase != c.phase || !e.Temporary {
				t.Errorf("%+v", *e)
			}
			if took := time.Since(begun); took > 25*time.Second {
				t.Errorf("took %v", took)
			}
			<-l.Done()
			var last packet
			for f := range s.frames {
				_, info, _ := parseFrame(f)
				last, _ = parsePacket(info)
			}
			if last.code != codeTerminate || string(last.data) != "no answer in time" {
				t.Errorf("the last packet is %d %q", last.code, last.data)
			}
		})
	}
}

// A server whose caller never proves itself gives up as well.
func TestMuteCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := serverConfig(CHAPMD5)
		cfg.RestartTimer, cfg.MaxConfigure = time.Second, 3
		s, _, result := play(t, cfg)
		s.openLCP()
		for range 3 {
			s.next(protoCHAP, chapChallenge)
		}
		s.next(protoLCP, codeTerminate)
		e := wantKind(t, "server", <-result, Timeout)
		if e.Phase != PhaseAuthenticate {
			t.Errorf("%+v", *e)
		}
	})
}
