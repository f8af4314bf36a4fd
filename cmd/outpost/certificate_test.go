package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/internal/config"
)

// What openssl x509 -fingerprint says of a certificate, with -sha256 and -sha1.
func TestFingerprint(t *testing.T) {
	block, _ := pem.Decode([]byte(`-----BEGIN CERTIFICATE-----
MIIBjzCCATWgAwIBAgIUI4+S7fOC1iO3hMxbQ7iDVHi4NcQwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRZ3cuY2xpbmljLmV4YW1wbGUwIBcNMjYxMTI1MTk0NjE5WhgP
MjA4MTA4MjgxOTQ2MTlaMBwxGjAYBgNVBAMMEWd3LmNsaW5pYy5leGFtcGxlMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5ESSXXkDxojKnpI3ZK4zKI0Rbn1kfgUv
GOVbI19odPjwRZGmBLxp8/e4vL/TvjzvAKdU+tszQh2UMxs1/8AWGaNTMFEwHQYD
VR0OBBYEFFssC4e0bYEgsi4EcYAqbToWUtazMB8GA1UdIwQYMBaAFFssC4e0bYEg
si4EcYAqbToWUtazMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIh
AOBMvH4rRgyARDc+OhbssFlSmmoxWwVtttYgzBp6y+UPAiBHgRdoeN8VyWkH/61z
5W/eHRYGss9orFPgaBDnrpcwIA==
-----END CERTIFICATE-----
`))
	const want = "C4:04:9E:5B:9C:7B:0B:4A:55:A4:43:D7:84:05:0C:8E:E5:8C:0B:28:6B:96:75:81:0B:48:E3:33:19:E1:CD:1D"
	if got := fingerprint(tls.Certificate{Certificate: [][]byte{block.Bytes}}); got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
	const short = "6D:AA:6B:9C:4C:41:46:78:7D:B3:F4:4A:C9:9E:F9:9D:50:D1:35:99"
	if got := thumbprint(tls.Certificate{Certificate: [][]byte{block.Bytes}}); got != short {
		t.Errorf("thumbprint %s, want %s", got, short)
	}
}

// Each start says the fingerprint, and check says the same one.
func TestFingerprintIsTold(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "outpost.toml")
	text := "[office]\nname = \"gw.clinic.example\"\ndomains = [\"clinic.example\"]\n[storage]\ndir = \"data\"\nsocket = \"s\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for range 2 {
		var log bytes.Buffer
		o, err := openOffice(cfg, opening{log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		_ = o.close()
		_, after, ok := strings.Cut(log.String(), "msg=certificate sha256=")
		print, _, _ := strings.Cut(after, "\n")
		if !ok || len(print) != 95 {
			t.Fatalf("logged: %s", &log)
		}
		said = append(said, print)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"check", "--config", path}, stdio{nil, &out, &out}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	if said[0] != said[1] || !strings.Contains(out.String(), "\ncertificate: SHA-256 "+said[0]+"\n") {
		t.Errorf("%v\n%s", said, &out)
	}
}
