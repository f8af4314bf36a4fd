package ppp

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestUp(t *testing.T) {
	for _, c := range []struct {
		name   string
		client Config
		server Config
	}{
		{"no authentication", Config{}, serverConfig()},
		{"pap", clientConfig(), serverConfig(PAP)},
		{"chap", clientConfig(), serverConfig(CHAPMD5)},
		{"chap first, pap accepted", Config{User: "joe", Password: "secret", Auth: []AuthProtocol{PAP}}, serverConfig(CHAPMD5, PAP)},
		{"pap first, chap accepted", Config{User: "joe", Password: "secret", Auth: []AuthProtocol{CHAPMD5}}, serverConfig(PAP, CHAPMD5)},
		{"everything escaped", Config{User: "joe", Password: "secret", ACCM: 0xffffffff}, serverConfig(PAP)},
		{"small packets", Config{User: "joe", Password: "secret", MRU: 576}, serverConfig(PAP)},
	} {
		for _, w := range []wire{{}, {delay: 300 * time.Millisecond, rate: 9600}, {delay: 2700 * time.Millisecond, rate: 2400}} {
			t.Run(fmt.Sprintf("%s at %v", c.name, w.delay), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c.client.Rate, c.server.Rate = w.rate, w.rate
					p := bringUp(t, w, c.client, c.server)
					p.mustBeUp(t)
					want := Addresses{Local: clientAddr, Peer: serverAddr, MTU: 1500}
					want.DNS = append(want.DNS, dns1, dns2)
					if !reflect.DeepEqual(p.clientGot, want) {
						t.Errorf("client got %+v", p.clientGot)
					}
					mtu := 1500
					if c.client.MRU != 0 {
						mtu = c.client.MRU
					}
					if want := (Addresses{Local: serverAddr, Peer: clientAddr, MTU: mtu}); !reflect.DeepEqual(p.serverGot, want) {
						t.Errorf("server got %+v", p.serverGot)
					}
					p.exchange(t)
					p.end(t)
					if !errors.Is(p.client.Err(), ErrClosed) {
						t.Errorf("client ended with %v", p.client.Err())
					}
				})
			})
		}
	}
}

func TestAuthRefused(t *testing.T) {
	for _, way := range []AuthProtocol{PAP, CHAPMD5} {
		for _, who := range []Config{{User: "joe", Password: "wrong"}, {User: "nobody", Password: "secret"}, {}} {
			synctest.Test(t, func(t *testing.T) {
				p := bringUp(t, wire{delay: 300 * time.Millisecond}, who, serverConfig(way))
				e := wantKind(t, "client", p.clientErr, AuthRefused)
				if e.Peer != "Login incorrect" || e.Temporary || e.Phase != PhaseAuthenticate || e.Hint == "" {
					t.Errorf("client: %+v", *e)
				}
				wantKind(t, "server", p.serverErr, AuthRefused)
				for _, err := range []error{p.clientErr, p.serverErr} {
					if strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), "secret") {
						t.Errorf("an error tells a password: %v", err)
					}
				}
				if p.took > 4*time.Second {
					t.Errorf("took %v", p.took)
				}
			})
		}
	}
}

func TestNoCommonAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientConfig()
		client.Auth = []AuthProtocol{PAP}
		p := bringUp(t, wire{delay: 300 * time.Millisecond}, client, serverConfig(CHAPMD5))
		e := wantKind(t, "client", p.clientErr, NoCommonAuth)
		if e.Temporary || !strings.Contains(e.Hint, "CHAP-MD5") {
			t.Errorf("client: %+v", *e)
		}
		wantKind(t, "server", p.serverErr, NoCommonAuth)
	})
}

func TestPeerTerminates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bringUp(t, wire{delay: 300 * time.Millisecond}, clientConfig(), serverConfig(PAP))
		p.mustBeUp(t)
		read := make(chan error, 1)
		go func() {
			_, err := p.client.ReadPacket(make([]byte, 1500))
			read <- err
		}()
		begun := time.Now()
		if err := p.server.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(begun); took > 700*time.Millisecond {
			t.Errorf("close took %v, want one round trip", took)
		}
		e := wantKind(t, "client", <-read, PeerTerminated)
		if !e.Temporary || e.Phase != PhaseOpen {
			t.Errorf("client: %+v", *e)
		}
		wantKind(t, "client", p.client.WritePacket([]byte{0x45}), PeerTerminated)
	})
}

func TestCarrierLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := wire{delay: 300 * time.Millisecond}.connect()
		p := &pair{client: New(a, clientConfig()), server: New(b, serverConfig(PAP))}
		go p.server.Up(context.Background())
		if _, err := p.client.Up(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.Close()
		<-p.client.Done()
		e := wantKind(t, "client", p.client.Err(), CarrierLost)
		if !e.Temporary || e.Err == nil {
			t.Errorf("client: %+v", *e)
		}
	})
}

// A line that is full must not make the goodbye wait: it overtakes all data but
// the packet that is going out.
func TestCloseOvertakesData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wire{delay: 900 * time.Millisecond, rate: 2400}
		client, server := clientConfig(), serverConfig(PAP)
		client.Rate, server.Rate = w.rate, w.rate
		p := bringUp(t, w, client, server)
		p.mustBeUp(t)
		written := make(chan error, 1)
		go func() {
			for {
				if err := p.client.WritePacket(make([]byte, 600)); err != nil {
					written <- err
					return
				}
			}
		}()
		time.Sleep(20 * time.Second)
		begun := time.Now()
		if err := p.client.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		// One packet of 600 octets, a third of it escaped: 2.6 s; the round trip 1.8 s.
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("close took %v", took)
		}
		if err := <-written; !errors.Is(err, ErrClosed) {
			t.Errorf("writing ended with %v", err)
		}
	})
}

func TestCloseBeforeUp(t *testing.T) {
	a, b := net.Pipe()
	l := New(a, Config{})
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := l.Up(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("up after close: %v", err)
	}
	if _, err := b.Read(make([]byte, 1)); err == nil {
		t.Error("the stream is not closed")
	}
	if err := l.Close(context.Background()); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestServerNeedsAddress(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	l := New(a, Config{Server: true})
	if _, err := l.Up(context.Background()); err == nil {
		t.Error("a server without an address came up")
	}
	l.Close(context.Background())
}

func TestUpOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bringUp(t, wire{}, clientConfig(), serverConfig(PAP))
		p.mustBeUp(t)
		if _, err := p.client.Up(context.Background()); err == nil {
			t.Error("second Up succeeded")
		}
		if err := p.client.WritePacket(make([]byte, 1501)); err == nil {
			t.Error("a packet beyond the MTU was taken")
		}
	})
}

// The trace shows every control frame of the negotiation, and no password.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		client := clientConfig()
		client.Trace = func(dir Direction, f []byte) { lines = append(lines, string(dir)+" "+hex.EncodeToString(f)) }
		p := bringUp(t, wire{}, client, serverConfig(PAP))
		p.mustBeUp(t)
		p.end(t)
		all := strings.Join(lines, "\n")
		if strings.Contains(all, hex.EncodeToString([]byte("secret"))) {
			t.Error("the trace has the password")
		}
		for _, want := range []string{"sent c02101", "received c02102", "sent c023010100" + "0f03" + hex.EncodeToString([]byte("joe")), "received c02302", "sent 802101", "sent c02105"} {
			if !strings.Contains(all, want) {
				t.Errorf("the trace lacks %q:\n%s", want, all)
			}
		}
	})
}
