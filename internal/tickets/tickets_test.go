package tickets

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const host = "mail.example"

// server is a TLS server that keeps its ticket keys.
type server struct {
	config *tls.Config
	roots  *x509.CertPool
}

func newServer(t *testing.T) *server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		config: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		roots:  x509.NewCertPool(),
	}
	s.roots.AddCert(cert)
	return s
}

// connect is a connection with one octet from the server, behind which the tickets are. It goes over loopback, where a handshake that
// fails on both sides at once doesn't wait for itself.
func (s *server) connect(t *testing.T, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		far, err := l.Accept()
		if err != nil {
			return
		}
		defer far.Close()
		conn := tls.Server(far, s.config)
		_, _ = conn.Write([]byte("+"))
		_, _ = conn.Read(make([]byte, 1))
	}()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	_, err = tls.Client(near, client).Read(make([]byte, 1))
	return err
}

func (s *server) must(t *testing.T, j *Jar, client *tls.Config, full, resumed int64) {
	t.Helper()
	if err := s.connect(t, client); err != nil {
		t.Fatal(err)
	}
	if f, r := j.Handshakes(); f != full || r != resumed {
		t.Errorf("%d full and %d resumed handshakes, want %d and %d", f, r, full, resumed)
	}
}

func base(s *server) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: s.roots}
}

// What a call has got, the next uses: also in a new process, and not for another server.
func TestResume(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newServer(t)
		s.config.MaxVersion = version
		var first Jar
		client := first.Config(base(s), "a:995")
		s.must(t, &first, client, 1, 0)
		s.must(t, &first, client, 1, 1)
		s.must(t, &first, client, 1, 2)
		saved, changed := first.Save()
		if !changed {
			t.Fatal("nothing to save")
		}
		if _, again := first.Save(); again {
			t.Error("saved twice without a change")
		}
		var second Jar
		if err := second.Load(saved); err != nil {
			t.Fatal(err)
		}
		s.must(t, &second, second.Config(base(s), "a:995"), 0, 1)
		s.must(t, &second, second.Config(base(s), "b:465"), 1, 1)
	}
}

// A session never outlives the trust that it began with.
func TestNoResumptionWithoutTrust(t *testing.T) {
	s := newServer(t)
	var j Jar
	s.must(t, &j, j.Config(base(s), "a"), 1, 0)
	saved, _ := j.Save()
	for name, change := range map[string]func(*tls.Config){
		"other roots": func(c *tls.Config) { c.RootCAs = newServer(t).roots },
		"later":       func(c *tls.Config) { c.Time = func() time.Time { return time.Now().Add(48 * time.Hour) } },
		"other name":  func(c *tls.Config) { c.ServerName = "other.example" },
	} {
		t.Run(name, func(t *testing.T) {
			var later Jar
			if err := later.Load(saved); err != nil {
				t.Fatal(err)
			}
			config := base(s)
			change(config)
			if err := s.connect(t, later.Config(config, "a")); err == nil {
				t.Error("a session was resumed, or begun, that must not be trusted")
			}
			if _, resumed := later.Handshakes(); resumed != 0 {
				t.Error("resumed")
			}
		})
	}
}

// What the caller checks of a connection itself is checked, of a resumed one too.
func TestCallersOwnCheck(t *testing.T) {
	s := newServer(t)
	var j Jar
	refuse := errors.New("not this one")
	var checked []bool
	config := base(s)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if checked = append(checked, state.DidResume); len(checked) == 3 {
			return refuse
		}
		return nil
	}
	client := j.Config(config, "a")
	s.must(t, &j, client, 1, 0)
	s.must(t, &j, client, 1, 1)
	if err := s.connect(t, client); !errors.Is(err, refuse) || !slices.Equal(checked, []bool{false, true, true}) {
		t.Errorf("%v, checked %v", err, checked)
	}
}

func TestOldTicketsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := Jar{servers: map[string][]ticket{"old": {{At: time.Now().Add(-8 * 24 * time.Hour)}}}, changed: true}
		for range 3 * perServer {
			(&shelf{&j, "new"}).Put("", nil)
			j.servers["new"] = append(j.servers["new"], ticket{At: time.Now()})
		}
		for range 2 * maxServers {
			j.servers[strings.Repeat("x", len(j.servers))] = []ticket{{At: time.Now()}}
		}
		if saved, ok := j.Save(); !ok || strings.Contains(string(saved), `"old"`) || len(j.servers) > maxServers {
			t.Errorf("%v, %d servers: %.200s", ok, len(j.servers), saved)
		}
	})
}

// What is damaged costs a full handshake and nothing else.
func TestDamaged(t *testing.T) {
	var j Jar
	if err := j.Load([]byte("{")); err == nil {
		t.Error("no error")
	}
	if err := j.Load([]byte(`{"a":[{"at":"` + time.Now().Format(time.RFC3339) + `","ticket":"AAAA","state":"AAAA"}]}`)); err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	s.must(t, &j, j.Config(base(s), "a"), 1, 0)
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"a":[{"at":"2026-11-25T00:00:00Z","ticket":"AAAA","state":"AAAA"}]}`))
	f.Add([]byte(`{"a":null}`))
	f.Fuzz(func(t *testing.T, saved []byte) {
		var j Jar
		if j.Load(saved) == nil {
			(&shelf{&j, "a"}).Get("")
			j.Save()
		}
	})
}
