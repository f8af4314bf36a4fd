package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"outpost/internal/config"
)

// The certificate we make ourselves holds for a long time and from long ago:
// nobody is there to renew it, and the office's computers may have wrong clocks.
var (
	certFrom = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	certTo   = time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)
)

// certificate loads the one the configuration names, or makes one for the
// office's name at the first start and keeps it, so that mail programs that
// trusted it once go on doing so. One of ours that a power cut left damaged is
// made anew.
func certificate(cfg *config.Config) (tls.Certificate, error) {
	if cfg.SMTP.CertFile != "" {
		return tls.LoadX509KeyPair(cfg.SMTP.CertFile, cfg.SMTP.KeyFile)
	}
	certFile, keyFile := ownCertificate(cfg)
	if cert, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil {
		return cert, nil
	}
	certPEM, keyPEM, err := selfSigned(cfg.Office.Name)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := errors.Join(keep(keyFile, keyPEM), keep(certFile, certPEM)); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// ownCertificate are the files of the one we make.
func ownCertificate(cfg *config.Config) (certFile, keyFile string) {
	return filepath.Join(cfg.Storage.Dir, "tls.crt"), filepath.Join(cfg.Storage.Dir, "tls.key")
}

// certificateThere is certificate for who only looks: nil where one would be made.
func certificateThere(cfg *config.Config) (*tls.Certificate, error) {
	if cfg.SMTP.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(cfg.SMTP.CertFile, cfg.SMTP.KeyFile)
		return &cert, err
	}
	cert, err := tls.LoadX509KeyPair(ownCertificate(cfg))
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // whatever is wrong with it, the next start makes another
	}
	return &cert, nil
}

// fingerprint is what mail programs show of a certificate: a hash of its DER form, in
// pairs of hexadecimal digits. It is the SHA-256; Windows, and Outlook with it, shows
// only the SHA-1, which thumbprint gives.
func fingerprint(cert tls.Certificate) string {
	sum := sha256.Sum256(cert.Certificate[0])
	return inPairs(sum[:])
}

func thumbprint(cert tls.Certificate) string {
	sum := sha1.Sum(cert.Certificate[0])
	return inPairs(sum[:])
}

func inPairs(sum []byte) string {
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// keep writes a file whole or not at all.
func keep(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func selfSigned(name string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "localhost"},
		NotBefore: certFrom, NotAfter: certTo,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}
