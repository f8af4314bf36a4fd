package isp

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestNewChecksOptions(t *testing.T) {
	for want, opt := range map[string]Options{
		"Domain": {},
		`"yes"`:  {Domain: "x.example", TLS: "yes"},
		"":       {Domain: "x.example"},
		"(fine)": {Domain: "x.example", TLS: "none"},
	} {
		_, err := New(opt)
		switch {
		case err == nil && strings.Trim(want, "(fine)") != "":
			t.Errorf("New(%+v) succeeds", opt)
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("New(%+v): %v", opt, err)
		}
	}
}

// What a test keeps and changes afterwards must not change the provider, or
// the race detector would be the least of its troubles.
func TestFaultsAreCopied(t *testing.T) {
	mine := Faults{LockedBoxes: []string{"ann"}, RejectRecipients: map[string]string{"a@b.example": "550 no"}}
	p := newProvider(t, func(o *Options) { o.Faults = mine })
	mine.LockedBoxes[0] = "bob"
	mine.RejectRecipients["c@d.example"] = "550 no"
	seen := p.fault()
	p.SetFaults(func(f *Faults) { f.LockedBoxes[0] = "bob"; delete(f.RejectRecipients, "a@b.example") })
	if !slices.Equal(seen.LockedBoxes, []string{"ann"}) || seen.rejects("A@B.example") != "550 no" || seen.rejects("c@d.example") != "" {
		t.Errorf("a copy changed: %+v", seen)
	}
	if now := p.fault(); now.LockedBoxes[0] != "bob" || now.rejects("a@b.example") != "" {
		t.Errorf("SetFaults changed nothing: %+v", now)
	}
}

// Passwords don't show in the log at any level.
func TestLogKeepsSecrets(t *testing.T) {
	var log bytes.Buffer
	p := newProvider(t, func(o *Options) {
		o.SMTPUser, o.SMTPPassword = "office", "hush-smtp"
		o.Boxes["eve"] = Box{Password: "hush-pop"}
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	pop := connect(t, p.plainPOP)
	pop.play("< +OK…\n> USER eve\n< +OK…\n> PASS hush-wrong\n< -ERR…\n> USER eve\n< +OK…\n> PASS hush-pop\n< +OK…\n> QUIT\n< +OK…")
	pop.closed()
	smtp := connect(t, p.plainSMTP)
	smtp.play("< 220…\n> HELO x\n< 250…\n> AUTH PLAIN " + plainResponse("", "office", "hush-smtp") + "\n< 235…\n> QUIT\n< 221…")
	smtp.closed()
	if text := log.String(); strings.Contains(text, "hush") || strings.Contains(text, plainResponse("", "office", "hush-smtp")) {
		t.Errorf("secrets in the log:\n%s", text)
	}
	if !strings.Contains(log.String(), "box opened") {
		t.Errorf("nothing about the session in the log:\n%s", log.String())
	}
}
