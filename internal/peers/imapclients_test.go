package peers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/internal/peers"
)

// script is a day with Python's imaplib, an IMAP client that knows nothing of ours. It
// ends at the first surprise.
const script = `
import imaplib, ssl, sys, email, time
plain, tls, cert = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
trust = ssl.create_default_context(cafile=cert)

def ok(answer, *want):
    assert answer[0] == 'OK', answer
    if want:
        assert tuple(answer[1]) == want, (answer, want)
    return answer[1]

# Nobody gets in without TLS.
m = imaplib.IMAP4('localhost', plain)
assert 'LOGINDISABLED' in m.capabilities and 'STARTTLS' in m.capabilities, m.capabilities
try:
    m.login('ann', 'secret')
    sys.exit('logged in without TLS')
except imaplib.IMAP4.error as e:
    assert 'PRIVACYREQUIRED' in str(e), e
m.starttls(trust)
try:
    m.login('ann', 'wrong')
    sys.exit('logged in with a wrong password')
except imaplib.IMAP4.error as e:
    assert 'AUTHENTICATIONFAILED' in str(e), e
ok(m.authenticate('PLAIN', lambda _: b'\0ann\0secret'))
m.logout()

m = imaplib.IMAP4_SSL('localhost', tls, ssl_context=trust)
ok(m.login('ann', 'secret'))
for cap in ('IDLE', 'UIDPLUS', 'MOVE', 'NAMESPACE', 'SPECIAL-USE', 'ESEARCH', 'LITERAL+'):
    assert cap in m.capability()[1][0].decode(), cap
names = b' '.join(ok(m.list()))
for name, use in (('Sent', 'Sent'), ('Drafts', 'Drafts'), ('Trash', 'Trash'), ('Junk', 'Junk'), ('Archive', 'Archive')):
    assert ('\\%s) "/" "%s"' % (use, name)).encode() in names, names
ok(m.create('Reports/May'))
ok(m.subscribe('Reports/May'))
text = b'From: Ann <ann@office.example>\r\nTo: bob@office.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and more\r\nDate: Tue, 5 May 2026 10:00:00 +0200\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZSBhdXMgZGVtIEZlbGQK\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\n\xff\xfe\r\n--x--\r\n'
when = imaplib.Time2Internaldate(1234567890)
got = ok(m.append('Reports/May', r'(\Seen Later)', when, text))
assert b'APPENDUID' in got[0], got
ok(m.append('Reports/May', None, None, b'Subject: two\r\n\r\nplain\r\n'))
assert ok(m.select('Reports/May')) == [b'2']
assert ok(m.search(None, 'SUBJECT', '"two"')) == [b'2']
assert ok(m.search(None, 'BODY', '"dem feld"')) == [b'1'], 'base64 is searched'
m.literal = 'grüße'.encode()
assert ok(m.search('UTF-8', 'SUBJECT')) == [b'1']
assert ok(m.search(None, 'SENTON', '5-May-2026')) == [b'1']
assert ok(m.search(None, 'BEFORE', '1-Jan-2010')) == [b'1']
assert ok(m.search(None, 'KEYWORD', 'Later', 'SEEN', 'SMALLER', '100000')) == [b'1']
assert ok(m.search(None, 'OR', 'UNSEEN', 'NOT', 'ALL')) == [b'2']
data = ok(m.fetch('1', '(RFC822)'))
assert data[0][1] == text, data
data = ok(m.fetch('1', '(BODY.PEEK[2] BODYSTRUCTURE ENVELOPE INTERNALDATE RFC822.SIZE)'))
assert b'"multipart' not in data[0][0] and data[0][1] == b'\xff\xfe', data
assert str(len(text)).encode() in data[0][0] + data[1], data
assert imaplib.Internaldate2tuple(data[0][0] + data[1]) == time.localtime(1234567890), data
ok(m.store('1:2', '+FLAGS', r'(\Flagged)'))
ok(m.copy('1', 'Archive'))
ok(m.uid('MOVE', '2', 'Trash'))
assert ok(m.uid('SEARCH', None, 'ALL')) == [b'1']
ok(m.store('1', '+FLAGS', r'(\Deleted)'))
assert ok(m.expunge())[-1] == b'1'
assert ok(m.status('Archive', '(MESSAGES UIDNEXT UNSEEN)')) == [b'"Archive" (MESSAGES 1 UIDNEXT 2 UNSEEN 0)']
ok(m.close())
assert m.select('None')[0] == 'NO'
ok(m.rename('Reports/May', 'Reports/June'))
ok(m.delete('Reports/June'))
ok(m.select('Trash', readonly=True))
assert m.store('1', '+FLAGS', r'(\Seen)')[0] == 'NO'
m.logout()
`

func TestPythonImaplib(t *testing.T) {
	peers.Need(t, "python3")
	r := openReading(t)
	file := filepath.Join(t.TempDir(), "day.py")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run("", "python3", file, r.imap, r.imaps, r.certificate)
}

func TestCurl(t *testing.T) {
	peers.Need(t, "curl")
	r := openReading(t)
	all := letters()
	for _, m := range all {
		r.deliver("", m)
	}
	curl := func(args ...string) string {
		return r.run("", "curl", append([]string{"-sS", "--cacert", r.certificate, "-u", "ann:secret"}, args...)...)
	}
	starttls := "imap://localhost:" + r.imap
	implicit := "imaps://localhost:" + r.imaps
	for i, m := range all {
		if got := curl("--ssl-reqd", fmt.Sprintf("%s/INBOX;UID=%d", starttls, i+1)); got != string(m) {
			t.Errorf("message %d: %q, want %q", i+1, got, m)
		}
	}
	up := filepath.Join(t.TempDir(), "up.eml")
	big := letter(99, text(3_000_000))
	if err := os.WriteFile(up, big, 0o600); err != nil {
		t.Fatal(err)
	}
	curl("-T", up, implicit+"/Drafts")
	if got := curl(implicit + "/Drafts;UID=1"); got != string(big) {
		t.Errorf("3 MB came back as %d octets, of %d", len(got), len(big))
	}
	if got := curl(implicit+"/INBOX", "-X", "SEARCH SUBJECT folded"); !strings.HasPrefix(got, fmt.Sprintf("* SEARCH %d", len(all))) {
		t.Errorf("search: %q", got)
	}
	if got := curl(implicit+"/", "-X", `LIST "" "D%"`); !strings.Contains(got, `(\HasNoChildren \Drafts) "/" "Drafts"`) {
		t.Errorf("list: %q", got)
	}
	if got := r.ask("Drafts", "UID SEARCH SEEN"); got[0] != "SEARCH 1" {
		t.Errorf("curl read it, and it is not seen: %q", got)
	}
}
