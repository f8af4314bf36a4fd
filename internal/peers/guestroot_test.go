package peers

import (
	"slices"
	"testing"
)

func TestNeededModules(t *testing.T) {
	const list = "kernel/net/ppp/ppp_async.ko: kernel/net/ppp/ppp_generic.ko kernel/net/slip/slhc.ko kernel/lib/crc.ko\n" +
		"kernel/net/slip/slhc.ko:\n"
	tests := []struct {
		module string
		want   []string
	}{
		{"ppp_async", []string{"kernel/lib/crc.ko", "kernel/net/slip/slhc.ko", "kernel/net/ppp/ppp_generic.ko", "kernel/net/ppp/ppp_async.ko"}},
		{"slhc", []string{"kernel/net/slip/slhc.ko"}},
		{"async", nil},
	}
	for _, test := range tests {
		if got := needed(list, test.module); !slices.Equal(got, test.want) {
			t.Errorf("needed for %s: %q, want %q", test.module, got, test.want)
		}
	}
}
