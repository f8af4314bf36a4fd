package dsn

import "strings"

// reason is what a code means to the sender of a message.
type reason struct {
	what string // a sentence or two
	todo string // what he can do if the message has failed
}

// reason finds the words for a recipient. Codes come first where they say something; many servers have only general ones, and say more in
// words.
func (p *Recipient) reason(k Kind) reason {
	status := p.status(k)
	_, detail, _ := strings.Cut(status, ".")
	if why, found := ours[detail]; found && p.Remote == "" {
		return why
	}
	if vague[detail] {
		if why, found := byWords(p.Reply); found {
			return why
		}
	}
	if why, found := reasons[detail]; found {
		return why
	}
	subject, _, _ := strings.Cut(detail, ".")
	if why, found := reasons[subject]; found {
		return why
	}
	if k == Delayed {
		return reason{what: "It could not be delivered so far."}
	}
	return reason{what: "It was refused, and the code doesn't say why.", todo: "What the server said may tell the person who looks after mail in your office more."}
}

// vague are the codes that servers use for anything.
var vague = map[string]bool{
	"0.0": true, "1.0": true, "2.0": true, "3.0": true, "5.0": true, "6.0": true, "7.0": true, "7.1": true, "2.2": true, "3.1": true, "4.1": true,
}

const (
	askAdmin = "Show this report to the person who looks after mail in your office."
	askOther = "If it matters, tell the recipient in another way, and ask whoever runs mail on that side."
)

var (
	unknown = reason{"There is nobody with this address there. It may be misspelt, or its owner has left or changed it.",
		"Check the address letter by letter and send the message again; if it is right, ask its owner in another way for the new one."}
	full = reason{"The recipient's mailbox is full.",
		"Send it again later, or tell the recipient in another way to make room."}
	tooBig = reason{"The message is bigger than is taken on the way to the recipient.",
		"Send it again with smaller attachments, or in several messages: pictures made smaller save the cost of the line, too."}
	spam = reason{"The other side took the message, or your provider's mail server, for a source of unwanted mail (spam).",
		"Nothing is wrong with the address. " + askAdmin}
	rules = reason{"The other side does not take this message by its rules: from this sender, to this recipient, or for what is in it.",
		askOther}
	proof = reason{"The other side could not see that mail from your address may come from your provider's mail server (SPF, DKIM, DMARC).",
		"It will be so for all mail there until it is mended. " + askAdmin}
	relaying = reason{"The provider's mail server does not pass on mail with this sender or to this recipient.",
		"Other messages may fail in the same way until it is mended. " + askAdmin}
	virus = reason{"The message was taken for dangerous: a virus was found in it, or an attachment of a kind that is not let through.",
		"Send it without the attachment, and have your computer checked if you don't know why."}
	grey = reason{"The other side asks to try again later, as it does with all mail from servers that are new to it. That is usual.", ""}
	busy = reason{"The mail server there takes no mail just now: it is busy, full, or out of order.",
		"Send it again later."}
	gone = reason{"The mail server of the recipient could not be reached.",
		"Check what follows the @ in the address; if it is right, send the message again later."}
	sender = reason{"The sender's address of the message was not accepted.",
		"Check the address that your mail program has for you. " + askAdmin}
	technical = reason{"The two mail servers did not understand each other. That is nothing that you have done.",
		askAdmin}
	login = reason{"The provider's mail server wants to know who sends, and did not accept what it was told.",
		"Other messages will fail in the same way until it is mended. " + askAdmin}
)

// reasons are the codes of RFC 3463, RFC 7372, RFC 7505 and their registry, without the class; or their subjects alone for what isn't named.
var reasons = map[string]reason{
	"1.0": unknown,
	"1.1": unknown,
	"1.2": {"There is no mail server for what follows the @ in the address.", "Check the address: that part is often misspelt."},
	"1.3": {"The address is not written as an address can be.", "Check the address and send the message again."},
	"1.4": {"The address could be that of several people.", "Use the full address of the one you mean."},
	"1.6": {"The recipient has moved, and has left no new address.", "Ask for the new address in another way."},
	"1.7": sender, "1.8": sender,
	"1.9":  {"The address leads into another mail system that can't take the message.", askOther},
	"1.10": {"What follows the @ in the address takes no mail at all.", "Check the address: that part may be misspelt."},

	"2.0":  {"The recipient's mailbox could not take the message.", askOther},
	"2.1":  {"The recipient's mailbox is closed, or takes no mail at present.", "Ask the recipient in another way."},
	"2.2":  full,
	"2.3":  {"The message is bigger than the recipient's mailbox takes.", tooBig.todo},
	"2.4":  {"A mailing list could not be read there.", askOther},
	"3":    busy,
	"3.3":  {"The mail server there lacks something that this message needs.", askAdmin},
	"3.4":  tooBig,
	"4":    gone,
	"4.6":  {"The message goes in a circle between mail servers.", askAdmin},
	"4.7":  {"It could not be delivered in the time allowed, and was given up.", "Send it again if it still matters."},
	"5":    technical,
	"5.3":  {"The message has more recipients than the server takes at once.", "Send it to fewer people at a time."},
	"6":    {"The message is of a form that can't be delivered there.", askAdmin},
	"6.7":  {"The address, or the message, has letters that the mail server there does not know (SMTPUTF8).", "Use an address in plain letters, if the recipient has one."},
	"7":    rules,
	"7.8":  login,
	"7.9":  login,
	"7.10": login,
	"7.20": proof, "7.21": proof, "7.22": proof, "7.23": proof, "7.24": proof, "7.25": proof, "7.26": proof, "7.27": proof,
}

// ours are the codes that mean something else where it was decided here, in the office.
var ours = map[string]reason{
	"1.1": {"There is nobody with this address in the office.", unknown.todo},
	"2.2": {"The recipient's mailbox in the office is full.", full.todo},
	"3.1": {"The disk of the mail gateway is full.", askAdmin},
	"7.1": {"You may not send mail there by the rules of your office.", "If you need to, ask the person who looks after mail in your office."},
}

// wording is how servers say something, in small letters. The first that is found counts: "sender address rejected" has to come before
// "address rejected".
var wording = []struct {
	words []string
	means reason
}{
	{[]string{"greylist", "graylist", "grey-list", "gray-list"}, grey},
	{[]string{"virus", "malware", "attachment type", "banned file"}, virus},
	{[]string{"dmarc", "dkim", "spf "}, proof},
	{[]string{"relaying denied", "relay access denied", "relay not permitted", "unable to relay", "not permitted to relay"}, relaying},
	{[]string{"over quota", "quota exceeded", "exceeded quota", "mailbox full", "mailbox is full", "mailbox quota", "over its quota"}, full},
	{[]string{"too large", "too big", "size limit", "maximum message size", "message size exceeds", "octets, the server takes"}, tooBig},
	{[]string{"spam", "blocklist", "blacklist", "block list", "black list", "reputation", "rbl", "dnsbl", "listed at", "listed in",
		"blocked", "unsolicited", "bulk mail"}, spam},
	{[]string{"sender rejected", "sender address", "sender verify", "not allowed to send as", "not owned by user"}, sender},
	{[]string{"user unknown", "unknown user", "no such user", "no such recipient", "unknown recipient", "no such mailbox", "no mailbox",
		"does not exist", "doesn't exist", "recipient not found", "mailbox not found", "invalid recipient", "invalid mailbox",
		"mailbox unavailable", "address rejected", "user not found", "nobody with the address"}, unknown},
	{[]string{"try again later", "too busy", "too many connections", "temporarily deferred", "resources"}, busy},
}

// byWords finds what a reply says in words.
func byWords(reply string) (reason, bool) {
	_, _, text := Split(strings.ToLower(clean(reply)))
	for _, w := range wording {
		for _, word := range w.words {
			if strings.Contains(text, word) {
				return w.means, true
			}
		}
	}
	return reason{}, false
}
