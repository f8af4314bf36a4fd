package pop3

import (
	"context"
	"testing"
	"time"
)

// FuzzCollect plays any server to a session with everything sent ahead: it ends, and nothing is deleted that was not saved.
func FuzzCollect(f *testing.F) {
	const speculating, holds, left, reused = 1, 2, 4, 8
	list := "+OK\r\n+OK\r\n+OK\r\n+OK\r\n1 3\r\n2 3\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n"
	header := "Message-ID: <1>\r\nDate: today\r\n\r\n"
	for _, s := range []string{
		list + "+OK\r\na\r\n.\r\n+OK\r\nb\r\n.\r\n+OK\r\n+OK\r\n+OK\r\n", list + "-ERR\r\n+OK\r\nb\r\n.\r\n-ERR\r\n+OK\r\nb\r\n.\r\n+OK\r\n+OK\r\n",
		list + "+OK\r\n" + header + ".\r\n+OK\r\nb\r\n.\r\n+OK\r\nb\r\n.\r\n+OK\r\n", list + "+OK\r\n" + header + ".\r\n-ERR\r\n-ERR\r\n+OK\r\nb\r\n.\r\n+OK\r\n+OK\r\n",
		"+OK\r\n+OK\r\n+OK\r\n+OK\r\n.\r\n-ERR\r\n-ERR\r\n+OK\r\n", "+OK\r\n-ERR [AUTH]\r\n",
	} {
		for _, mode := range []uint8{0, speculating, holds, left, reused, left | holds, reused | holds} {
			f.Add([]byte(s), mode, "")
		}
		f.Add([]byte(s), uint8(0), "good")
	}
	f.Add([]byte("+OK\r\n+ eyJzdGF0dXMiOiI0MDAifQ==\r\n-ERR [AUTH] no\r\n"), uint8(0), "stale")
	f.Fuzz(func(t *testing.T, sent []byte, mode uint8, token string) {
		a, opt := newArchive(), acquainted(plain)
		if token != "" {
			opt.Mechanism = MechanismXOAUTH2
			opt.Token = func(context.Context) (string, error) { return token, nil }
		}
		opt.Speculate, opt.Window = mode&speculating != 0, NewWindow(2)
		if mode&holds != 0 {
			opt.HoldAbove = 2
		}
		if mode&left != 0 {
			opt.LeaveDays = -1
			for _, id := range []string{"x", "y", "z"} {
				_ = a.keep([]byte(header+id), 30, id)
			}
		}
		if mode&reused != 0 {
			a.seen["a"] = Seen{At: time.Now(), Size: 5000, Print: "p"}
			opt.Speculate = opt.Speculate || mode&left == 0
			opt.Emptied = true
		}
		before := len(a.texts)
		report, err := Collect(t.Context(), &script{rest: sent, piece: 1000}, opt, a)
		if report.Deleted > report.Collected+report.Skipped || report.Collected != len(a.texts)-before || opt.Window.Outstanding() != 0 ||
			report.Held < len(a.held) || mode&left != 0 && report.Deleted > 0 || report.Renamed > report.Skipped {
			t.Fatalf("%q: %+v, %q", sent, report, a.texts)
		}
		all := report.Collected + report.Skipped + report.Held + report.TooBig + report.Failed + report.Dropped
		if err == nil && all != report.Listed {
			t.Fatalf("%q: of %d listed %d are told of: %+v", sent, report.Listed, all, report)
		}
	})
}
