package route

import "testing"

func TestPeople(t *testing.T) {
	table, err := New(Options{
		Domains: []string{"clinic.example"}, Servers: []Server{{Name: "exchange"}},
		Users: []User{
			{Name: "ann", Addresses: []string{"all@clinic.example"}, Identity: "ann.lee@provider.example"},
			{Name: "ben", Addresses: []string{"all@clinic.example"}, Server: "exchange", ServerAddress: "ben@corp.example"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !table.Identities() {
		t.Error("nobody has an identity")
	}
	for addr, want := range map[string]string{
		"ann@clinic.example": "ann.lee@provider.example", "ANN+x@Clinic.Example": "ann.lee@provider.example",
		"ben@clinic.example": "", "all@clinic.example": "", "x@far.example": "", "": "",
	} {
		if got, ok := table.Outside(addr); got != want || ok != (want != "") {
			t.Errorf("%q outside: %q, %v; want %q", addr, got, ok, want)
		}
	}
	for place, want := range map[string]string{"ann": "ann", "exchange:ben@corp.example": "ben", "ben": "", "unrouted": "", "x": ""} {
		if got, ok := table.Owner(place); got.Name != want || ok != (want != "") {
			t.Errorf("owner of %q: %q, %v; want %q", place, got.Name, ok, want)
		}
	}
}
