package notice

import (
	"strings"
	"testing"
)

// What a person can read of a big message is shown, however it is wrapped; what he can't isn't.
func TestFirstLines(t *testing.T) {
	for name, c := range map[string]struct{ top, want string }{
		"plain":       {"Subject: x\r\n\r\nOne\r\nTwo\r\n", "  | One\n  | Two\n"},
		"no body yet": {"Subject: x\r\n", ""},
		"quoted":      {"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n", "  | Grüße\n"},
		"latin-1":     {"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe\r\n", "  | Grüße\n"},
		"with an attachment": {"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the photo.\r\n" +
			"--b\r\nContent-Type: image/jpeg\r\n\r\n/9j/4AAQ", "  | See the photo.\n"},
		"two deep, cut in the text": {"Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n" +
			"Content-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8sIHdvcmxkLgpXZSBz\r\n", "  | Hello, world.\n  | We s\n"},
		"the attachment first": {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nlog\r\n" +
			"--b\r\n\r\nSee the log.\r\n--b--\r\n", "  | See the log.\n"},
		"only HTML": {"Content-Type: text/html\r\n\r\n<p>x\r\n", ""},
		"a picture": {"Content-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\n\r\n/9j/4AAQ\r\n", ""},
	} {
		if got := firstLines([]byte(c.top)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzFirstLines(f *testing.F) {
	f.Add("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n")
	f.Add("Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8s")
	f.Add("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n----\r\n\r\n")
	f.Fuzz(func(t *testing.T, top string) {
		for line := range strings.Lines(firstLines([]byte(top))) {
			if !strings.HasPrefix(line, "  | ") || !strings.HasSuffix(line, "\n") || len([]rune(line)) > mostShown+10 {
				t.Errorf("%q", line)
			}
		}
	})
}
