package isp

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The bench's figures for thin lines count on certificates of ordinary size.
func TestChainHasARealProvidersSize(t *testing.T) {
	cert, err := testAuthority(t).Issue("smtp.pretend.example", "pop.pretend.example")
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, der := range cert.Certificate {
		size += len(der)
	}
	if len(cert.Certificate) != 2 || size < 2400 || size > 2800 {
		t.Errorf("%d certificates of %d octets, want 2 of about 2500", len(cert.Certificate), size)
	}
}

// Boards without a clock battery wake up in 1970.
func TestChainVerifiesWithAnyClock(t *testing.T) {
	a := testAuthority(t)
	cert, err := a.Issue("pop.pretend.example")
	if err != nil {
		t.Fatal(err)
	}
	intermediates := x509.NewCertPool()
	intermediates.AddCert(a.intermediate)
	for _, now := range []time.Time{time.Unix(60, 0), time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Now(), time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)} {
		_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: a.RootCAs(), Intermediates: intermediates, CurrentTime: now, DNSName: "pop.pretend.example"})
		if err != nil {
			t.Errorf("at %v: %v", now, err)
		}
	}
}

func TestPEMIsTheRoot(t *testing.T) {
	p := newProvider(t, func(o *Options) { o.TLS = TLSStart })
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.CAPEM()) || !pool.Equal(p.RootCAs()) {
		t.Error("CAPEM and RootCAs differ")
	}
	plain := newProvider(t, nil)
	if plain.CAPEM() != nil || !plain.RootCAs().Equal(x509.NewCertPool()) {
		t.Error("a provider without TLS has roots")
	}
}

// counting counts what a client receives.
type counting struct {
	net.Conn
	n *atomic.Int64
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// Tickets of one call work in the next, and between the services: the keys
// live as long as the provider. A resumed handshake is a fraction of
// a full one.
func TestSessionsAreResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, func(o *Options) { o.TLS = TLSImplicit })
		config := &tls.Config{RootCAs: p.RootCAs(), ServerName: p.POPHost(), ClientSessionCache: tls.NewLRUClientSessionCache(4),
			// As on a metered line: the hybrid key share would add 1.1 KB to both.
			CurvePreferences: []tls.CurveID{tls.X25519}}
		received := func(wantResumed bool) int64 {
			var n atomic.Int64
			ours, theirs := net.Pipe()
			go p.servePOPS(theirs)
			conn := tls.Client(counting{ours, &n}, config)
			defer conn.Close()
			if _, err := conn.Read(make([]byte, 100)); err != nil { // the greeting, and the ticket before it
				t.Fatal(err)
			}
			if got := conn.ConnectionState().DidResume; got != wantResumed {
				t.Errorf("resumed: %v, want %v", got, wantResumed)
			}
			return n.Load()
		}
		full, resumed := received(false), received(true)
		if full < 2800 || full > 4500 || resumed > full/5 {
			t.Errorf("%d octets for a full handshake, %d for a resumed one", full, resumed)
		}
	})
}
