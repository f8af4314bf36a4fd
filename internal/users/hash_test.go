package users

import (
	"strings"
	"testing"
)

func TestHash(t *testing.T) {
	hash, err := Hash("pässword")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || len(strings.Split(hash, "$")) != 6 {
		t.Fatalf("hash %s, %v", hash, err)
	}
	if err := CheckHash(hash); err != nil {
		t.Error(err)
	}
	if !Verify(hash, "pässword") || Verify(hash, "password") || Verify(hash, "") {
		t.Error("the hash is of another password")
	}
	if again, _ := Hash("pässword"); again == hash {
		t.Error("two hashes have the same salt")
	}
	for _, bad := range []string{"", strings.Repeat("x", MaxPassword+1)} {
		if _, err := Hash(bad); err == nil {
			t.Errorf("a password of %d octets is taken", len(bad))
		}
		if Verify(cheap, bad) {
			t.Errorf("a password of %d octets is right", len(bad))
		}
	}
}

// What others make is understood too: argon2(1), Dovecot.
func TestHashesOfOthers(t *testing.T) {
	for hash, want := range map[string]bool{
		cheap: true,
		"$2y$05$LXPFUUPS2JpAKDx4O.D4OO4G/V9XDuMLVs.HRF5pSEmc94dUgGOQO": true, // doveadm pw -s BLF-CRYPT
		bcrypted(t, "secret"): true,
		bcrypted(t, "other"):  false,
		"":                    false,
		"secret":              false,
		"{PLAIN}secret":       false,
	} {
		if got := Verify(hash, "secret"); got != want {
			t.Errorf("%q: %v", hash, got)
		}
	}
}

func TestCheckHash(t *testing.T) {
	// What doveadm pw -s ARGON2ID makes takes 256 MiB: as much as is borne.
	if err := CheckHash("$argon2id$v=19$m=262144,t=3,p=1$lPUv7GtRCvEItxA/3YIdWQ$hitPnQylpTf+bBS3eDmLrua1uP0iBA06/IT31wQTN/E"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "secret", "$argon2id$", "$argon2i$" + cheap[10:], "$argon2d$" + cheap[10:],
		strings.Replace(cheap, "v=19", "v=16", 1), strings.Replace(cheap, "m=64", "m=064", 1),
		strings.Replace(cheap, "m=64", "m=-64", 1), strings.Replace(cheap, "t=1", "t=0", 1),
		strings.Replace(cheap, "p=1", "p=0", 1), strings.Replace(cheap, "p=1", "p=300", 1),
		strings.Replace(cheap, "p=1", "p=1,data=x", 1), strings.Replace(cheap, "c2FsdHNhbHQ", "c2Fs", 1),
		strings.Replace(cheap, "c2FsdHNhbHQ", "c2FsdHNhbHQ=", 1), cheap + "!", cheap[:50],
		"$2a$10$short", "$2a$31$1yVjJry6TbbPNbQiAarIieSDkbDTzReXlV3Xi.D5idBpAi1HO6/1y",
	} {
		if err := CheckHash(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, greedy := range []string{"m=262145,t=1,p=1", "m=64,t=17,p=1", "m=64,t=1,p=17", "m=4294967295,t=4294967295,p=255"} {
		if err := CheckHash(strings.Replace(cheap, "m=64,t=1,p=1", greedy, 1)); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%s: %v", greedy, err)
		}
	}
}

func FuzzCheckHash(f *testing.F) {
	f.Add(cheap)
	f.Add("$2a$10$1yVjJry6TbbPNbQiAarIieSDkbDTzReXlV3Xi.D5idBpAi1HO6/1y")
	f.Fuzz(func(t *testing.T, hash string) {
		h, err := parseArgon(hash)
		if err == nil && (h.memory > maxMemoryKiB || h.passes > maxPasses || h.lanes > maxLanes || len(h.key) < 16) {
			t.Errorf("%+v", h)
		}
		if strings.ContainsAny(hash, ":\n") && CheckHash(hash) == nil {
			t.Errorf("%q would break its line", hash)
		}
	})
}

// BenchmarkVerify is what a sign-in costs: 19 MiB, and the time.
func BenchmarkVerify(b *testing.B) {
	hash, err := Hash("secret")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !Verify(hash, "secret") {
			b.Fatal("wrong")
		}
	}
}
