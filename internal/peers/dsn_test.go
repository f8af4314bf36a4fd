package peers_test

import (
	"strings"
	"testing"

	"outpost/internal/peers"
	"outpost/internal/relay"
)

// Postfix reads what we pass on of the sender's wishes as it was meant: its report of success names the envelope and the recipient in
// the sender's words.
func TestRelayDSN(t *testing.T) {
	t.Parallel()
	smarthost := peers.Postfix(t, peers.PostfixOptions{})
	m := note(letters()[0], "bob@far.example", "eve@far.example", "mia@far.example")
	m.EnvID, m.Return = "QQ+1=x", "HDRS"
	m.Notify = []string{"SUCCESS,FAILURE", "NEVER", "SUCCESS"}
	m.Original = []string{"rfc822;bob+radio=1@far.example", "", "utf-8;mía@far.example"}
	for _, r := range drain(t, open(t, smarthost.SMTP, relay.Options{TLS: relay.TLSNone}), m)[0] {
		if r.Err != nil || !r.DSN {
			t.Errorf("%+v", r)
		}
	}
	var reports []string
	for _, m := range smarthost.Mail() {
		if m.From == "" {
			reports = append(reports, string(m.Body))
		}
	}
	all := strings.Join(reports, "")
	for _, want := range []string{"Original-Envelope-Id: QQ+1=x\r\n", "Original-Recipient: rfc822;bob+radio=1@far.example\r\n", "Original-Recipient: utf-8;mía@far.example\r\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in the reports:\n%s", want, all)
		}
	}
	if strings.Contains(all, "eve@far.example\r\nAction") || strings.Contains(all, "Final-Recipient: rfc822; eve") {
		t.Errorf("reported on her of whom nothing was to be said:\n%s", all)
	}
}
