package peers

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// verdict is a testing.TB that notes how it ended instead of ending the test.
type verdict struct {
	testing.TB
	failed, skipped bool
	words           string
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.failed, v.words = true, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Skipf(format string, args ...any) {
	v.skipped, v.words = true, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// need runs Need as the test under another name would.
func need(t *testing.T, programs ...string) *verdict {
	v := &verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Need(v, programs...)
	}()
	<-done
	return v
}

func TestNeedIsNeverSilent(t *testing.T) {
	tests := []struct {
		ci              string
		failed, skipped bool
	}{
		{ci: "true", failed: true},
		{ci: "", skipped: true},
		{ci: "false", skipped: true},
	}
	for _, test := range tests {
		t.Run("CI="+test.ci, func(t *testing.T) {
			t.Setenv("CI", test.ci)
			v := need(t, "sh", "no-such-server")
			if v.failed != test.failed || v.skipped != test.skipped {
				t.Errorf("failed %v, skipped %v; want %v, %v", v.failed, v.skipped, test.failed, test.skipped)
			}
			if runtime.GOOS == "linux" && !strings.Contains(v.words, "no-such-server is not installed") {
				t.Errorf("the reason doesn't name what is missing: %q", v.words)
			}
		})
	}
}

func TestNeedLetsPassWhatIsThere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Need lets nothing pass here: servers are started on Linux only")
	}
	t.Setenv("CI", "true")
	if v := need(t, "sh"); v.failed || v.skipped {
		t.Errorf("stopped by %q", v.words)
	}
}

func TestCutTrace(t *testing.T) {
	tests := []struct {
		text, trace, rest string
		ok                bool
	}{
		{"Received: a\r\n b\r\n\tc\r\nSubject: x\r\n\r\n y\r\n", "Received: a\r\n b\r\n\tc\r\n", "Subject: x\r\n\r\n y\r\n", true},
		{"Received: a\r\nReceived: b\r\n", "Received: a\r\n", "Received: b\r\n", true},
		{"Received: a\r\n", "Received: a\r\n", "", true},
		{"Received: a", "", "Received: a", false},
		{"Subject: x\r\n", "", "Subject: x\r\n", false},
	}
	for _, test := range tests {
		trace, rest, ok := cutTrace([]byte(test.text))
		if string(trace) != test.trace || string(rest) != test.rest || ok != test.ok {
			t.Errorf("cutTrace(%q) = %q, %q, %v", test.text, trace, rest, ok)
		}
	}
}
