package route

import "testing"

func TestCheckAddress(t *testing.T) {
	for _, good := range []string{
		"ann@clinic.example", "a..b.@docomo.example", "ann+x=y/z@clinic.example", `"ann smith"@clinic.example`, `"a\"b@c"@clinic.example`,
		"ann@[IPv6:2001:db8::1]", "ann@[192.0.2.1]", "bücher@bücher.example", "ann@under_score.example",
	} {
		if err := CheckAddress(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "@", "ann", "ann@", "@clinic.example", "a b@x", "ann@x y", "ann@x\r\nDATA", "\"a\r\nDATA\"@x", `"a"b"@x`, `"@x`, `"a@x`,
		"<ann@x>", "ann@x>", "a,b@x", "a@b@x", "ann@.", "\xff@x", "ann@\xff", "x:ann@x", "a*@x", "a[b]@x", "ann@x/y",
	} {
		if CheckAddress(bad) == nil {
			t.Errorf("%q is taken for an address", bad)
		}
	}
}

// What the quick way says is what the tables of IDNA say.
func TestCanonicalDomain(t *testing.T) {
	for in, want := range map[string]string{
		"Clinic.Example": "clinic.example", "clinic.example.": "clinic.example", "a_b.Example": "a_b.example",
		"BÜCHER.example": "xn--bcher-kva.example", "XN--BCHER-KVA.example": "xn--bcher-kva.example", "[IPv6:2001:DB8::1]": "[ipv6:2001:db8::1]", "": "",
	} {
		if got := canonicalDomain(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
