package patience

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// certificate makes one for mail.example that is valid until then, and a pool that trusts it.
func certificate(t *testing.T, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mail.example"},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// handshake is a client's over a Conn with a server that has the certificate; serve, if given, stands in for that server.
func handshake(t *testing.T, cert tls.Certificate, client *tls.Config, serve func(net.Conn)) error {
	t.Helper()
	near, far := net.Pipe()
	if serve == nil {
		serve = func(conn net.Conn) {
			config := &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
			_ = tls.Server(conn, config).HandshakeContext(t.Context())
		}
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer far.Close()
		serve(far)
	}()
	line := New(near, 10*time.Second)
	err := tls.Client(line, client).HandshakeContext(t.Context())
	_ = line.Close()
	<-served
	return err
}

// plain is a server that has never heard of TLS.
func plain(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 4096))
	_, _ = io.WriteString(conn, "220 mail.example ready\r\n")
}

// hangup is a server that ends the connection when it has heard the client's first words.
func hangup(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }

func TestRefused(t *testing.T) {
	future, past := time.Now().Add(24*time.Hour), time.Now().Add(-24*time.Hour)
	for name, test := range map[string]struct {
		until   time.Time
		client  func(*tls.Config)
		serve   func(net.Conn)
		refused bool
		hint    string // what is in it; "" for none at all
	}{
		"other name":   {future, func(c *tls.Config) { c.ServerName = "other.example" }, nil, true, "for another name"},
		"other issuer": {future, func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, nil, true, "issuer is unknown"},
		"expired":      {past, nil, nil, true, "clock"},
		"other use": {future, func(c *tls.Config) {
			c.InsecureSkipVerify = true
			c.VerifyConnection = func(tls.ConnectionState) error {
				return &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}}
			}
		}, nil, true, ""},
		"plain text":  {future, nil, plain, true, "TLS mode (465 implicit)"},
		"closed":      {future, nil, hangup, false, ""},
		"old version": {future, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, nil, false, ""}, // an alert
	} {
		t.Run(name, func(t *testing.T) {
			cert, pool := certificate(t, test.until)
			client := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "mail.example", RootCAs: pool}
			if test.client != nil {
				test.client(client)
			}
			err := handshake(t, cert, client, test.serve)
			if err == nil {
				t.Fatal("the handshake succeeded")
			}
			hint, refused := Refused(err, "465 implicit")
			if refused != test.refused || !strings.Contains(hint, test.hint) || (hint == "") != (test.hint == "") {
				t.Errorf("%v: %v, %q", err, refused, hint)
			}
		})
	}
	cert, pool := certificate(t, future)
	if err := handshake(t, cert, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "mail.example", RootCAs: pool}, nil); err != nil {
		t.Errorf("a good certificate: %v", err)
	}
}
