package isp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Authority is a certificate authority like the public ones: a root that
// clients trust, and an intermediate that signs the servers' certificates.
//
// Intermediate and server have RSA keys of 2048 bits, and both certificates
// are filled up to the size of real ones, because the size matters on a thin
// line: a full handshake sends about 2.5 KB of certificates, as most
// providers' do. The root is never sent, so its key is ECDSA, which is quick
// to make. All keys together take about 0.1 s.
type Authority struct {
	root         *x509.Certificate
	intermediate *x509.Certificate
	signer       crypto.Signer // of intermediate
}

// validity is from the Unix epoch to the end of the century: the demo has to
// work on boards without a clock battery, which wake up in 1970, and tests in
// a synctest bubble live in the year 2000.
func validity() (from, to time.Time) {
	return time.Unix(0, 0).UTC(), time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)
}

// NewAuthority makes a root and an intermediate with new keys.
func NewAuthority() (*Authority, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("isp: root key: %w", err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("isp: intermediate key: %w", err)
	}
	rootName := pkix.Name{Country: []string{"XX"}, Organization: []string{"Pretend Trust Services"}, CommonName: "Pretend Root R1"}
	tmpl := authorityTemplate(1, rootName)
	root, err := issue(tmpl, tmpl, rootKey.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("isp: root certificate: %w", err)
	}
	tmpl = authorityTemplate(2, pkix.Name{Country: []string{"XX"}, Organization: []string{"Pretend Trust Services"}, CommonName: "Pretend Server CA 7"})
	tmpl.MaxPathLenZero = true
	tmpl.IssuingCertificateURL = []string{"http://root-r1.ca.pretend.example/"}
	tmpl.CRLDistributionPoints = []string{"http://root-r1.crl.pretend.example/"}
	tmpl.PolicyIdentifiers = []asn1.ObjectIdentifier{{2, 23, 140, 1, 2, 1}}
	// What the signature of an RSA root of 4096 bits has over ours.
	tmpl.ExtraExtensions = []pkix.Extension{filler(512 - 72)}
	intermediate, err := issue(tmpl, root, key.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("isp: intermediate certificate: %w", err)
	}
	return &Authority{root: root, intermediate: intermediate, signer: key}, nil
}

func authorityTemplate(serial int64, name pkix.Name) *x509.Certificate {
	from, to := validity()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: name,
		NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
}

func issue(tmpl, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// RootCAs is a pool with the root, for a client's tls.Config.
func (a *Authority) RootCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// PEM is the root's certificate, for a client's file of trusted roots.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}

// Issue makes a key and a certificate for the names, with its chain up to,
// and without, the root: what a server sends.
func (a *Authority) Issue(names ...string) (tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("isp: server key: %w", err)
	}
	// 120 bits at random, as the public authorities do.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("isp: serial number: %w", err)
	}
	from, to := validity()
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: from, NotAfter: to, BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		OCSPServer:            []string{"http://ca7.ocsp.pretend.example"},
		IssuingCertificateURL: []string{"http://ca7.ca.pretend.example/"},
		CRLDistributionPoints: []string{"http://ca7.crl.pretend.example/113.crl"},
		PolicyIdentifiers:     []asn1.ObjectIdentifier{{2, 23, 140, 1, 2, 1}},
		// Two signed certificate timestamps (RFC 6962 §3.3) take this much.
		ExtraExtensions: []pkix.Extension{filler(242)},
	}
	leaf, err := issue(tmpl, a.intermediate, key.Public(), a.signer)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("isp: server certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.intermediate.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// filler is an extension of n octets of noise, for certificates of the size
// that real ones have. It has a private number, so that nobody takes it for
// something that it isn't.
func filler(n int) pkix.Extension {
	noise := make([]byte, n)
	_, _ = rand.Read(noise) // never fails since Go 1.24
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2}, Value: noise}
}

// makeTLS gives the provider its authority and its server's certificate.
func (p *Provider) makeTLS() error {
	if p.authority = p.opt.Authority; p.authority == nil {
		a, err := NewAuthority()
		if err != nil {
			return err
		}
		p.authority = a
	}
	cert, err := p.authority.Issue(p.SMTPHost(), p.POPHost())
	if err != nil {
		return err
	}
	p.tlsConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	return nil
}

// RootCAs is a pool with the provider's own root, for a client's tls.Config.
// It is empty when the provider has no TLS.
func (p *Provider) RootCAs() *x509.CertPool {
	if p.authority == nil {
		return x509.NewCertPool()
	}
	return p.authority.RootCAs()
}

// CAPEM is the provider's own root as PEM, for a client's configuration; nil
// when the provider has no TLS.
func (p *Provider) CAPEM() []byte {
	if p.authority == nil {
		return nil
	}
	return p.authority.PEM()
}
