package dsn

import (
	"strings"
)

// StatusOf is the status code (RFC 3463) of a reply, in SMTP's form or in our own words: the enhanced code in it, else what its basic code
// says, else 5.0.0 or 4.0.0, as permanent says. Of a reply in several lines the first counts.
func StatusOf(reply string, permanent bool) string {
	code, enhanced, _ := Split(reply)
	switch {
	case enhanced != "":
		return enhanced
	case basic[code] != "":
		return basic[code]
	case code != "" && (code[0] == '2' || code[0] == '4' || code[0] == '5'):
		return code[:1] + ".0.0"
	case permanent:
		return "5.0.0"
	}
	return "4.0.0"
}

// basic is what the codes of RFC 5321 §4.2.3 say in those of RFC 3463, where they say anything. 550 doesn't: it stands for an address that isn't
// there, a rule and a list of spammers alike.
var basic = map[string]string{
	"421": "4.3.2", "450": "4.2.0", "451": "4.3.0", "452": "4.3.1", "454": "4.7.0", "455": "4.5.4",
	"500": "5.5.2", "501": "5.5.4", "502": "5.5.1", "503": "5.5.1", "504": "5.5.4", "521": "5.3.2", "530": "5.7.0", "534": "5.7.9", "535": "5.7.8",
	"551": "5.1.6", "552": "5.2.2", "553": "5.1.3", "555": "5.5.4", "556": "5.1.10",
}

// Split takes a reply apart: the basic code, the enhanced code and the text. Codes that aren't there are "", and neither needs the other: our own
// reasons may begin with an enhanced code. It need not be of the basic one's class: "550 4.4.7" is how servers say that they gave up.
func Split(reply string) (code, enhanced, text string) {
	text = strings.TrimSpace(reply)
	if len(text) >= 3 && text[0] >= '2' && text[0] <= '5' && digits(text[:3]) && (len(text) == 3 || text[3] == ' ' || text[3] == '-') {
		code, text = text[:3], strings.TrimSpace(strings.TrimLeft(text[3:], "-"))
	}
	if word, rest, _ := strings.Cut(text, " "); validStatus(word) {
		enhanced, text = word, strings.TrimSpace(rest)
	}
	return code, enhanced, text
}

// validStatus checks the form of a status code (RFC 3463 §2).
func validStatus(s string) bool {
	class, rest, _ := strings.Cut(s, ".")
	subject, detail, _ := strings.Cut(rest, ".")
	return (class == "2" || class == "4" || class == "5") && number(subject) && number(detail)
}

// number says that s has one to three digits.
func number(s string) bool { return s != "" && len(s) <= 3 && digits(s) }

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// status is the recipient's code. One of success is never said of a failure, nor the other way round; a failure may have one that begins with
// 4, if the sending was given up (RFC 3463 §3.5).
func (p *Recipient) status(k Kind) string {
	status := p.Status
	if !validStatus(status) {
		status = StatusOf(p.Reply, k == Failed)
	}
	done := k == Relayed || k == Delivered
	switch {
	case done == (status[0] == '2'):
		return status
	case done:
		return "2.0.0"
	}
	return StatusOf("", k == Failed)
}
