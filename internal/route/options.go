package route

import "slices"

// DefaultUnplaced is the mailbox for what can't be placed, if none is chosen.
const DefaultUnplaced = "unrouted"

// Options say who is who in the office and where mail goes. Users, folders, lists and
// servers share one namespace: no name may stand there twice.
type Options struct {
	// Hostname is this host's name: postmaster@Hostname is known, and DeliveredTo is made
	// of it. "": "localhost".
	Hostname string
	// Domains are the office's own: an unknown address there is an error. UTF-8 or
	// xn-- form.
	Domains []string
	Users   []User
	Folders []Folder
	Lists   []List
	Servers []Server
	Boxes   []Box
	// Rules are looked at in their order, for collected mail and for what staff hand in.
	Rules []Rule
	// Unplaced is the mailbox for what can't be placed and for the postmaster's mail: a
	// user, a shared folder, or any other safe name, which is then a mailbox of its own.
	// "": DefaultUnplaced.
	Unplaced string
}

// User is somebody with a mailbox.
type User struct {
	// Name is the name of the mailbox and its folder: small letters, digits, dot, dash,
	// underscore. Name@domain is his in each of Options.Domains.
	Name string
	// Addresses are his others. One without @ counts in each of the domains; one in a
	// domain that is not the office's (his address at the provider) is delivered here as
	// well, without a call. An address that several users, folders or lists have goes to
	// all of them.
	Addresses []string
	// Server is the office's mail server that has his mailbox; "": it is here.
	Server string
	// ServerAddress is his address on that server. "": his primary address, which is the
	// first that he has.
	ServerAddress string
	// Internal: he may not send to addresses outside the office.
	Internal bool
	// MayCall: what he sends may place a call.
	MayCall bool
	// MaxOut is the largest message in octets that he may send outside; 0: no limit of
	// his own.
	MaxOut int64
	// Identity is his address at the provider, which the world sees in place of his
	// office address; "": none.
	Identity string
	// Quota is the most his mailbox may hold, in octets; 0: no limit.
	Quota int64
}

// Folder is a mailbox that several users share.
type Folder struct {
	// Name is as a user's.
	Name string
	// Addresses are those by which mail can be sent to it; one without @ counts in each of
	// the domains. None: only boxes, lists and rules put mail there.
	Addresses []string
	// Read and Write name the users who may read it, and who may also change it; "*": every
	// user.
	Read, Write []string
}

// MayRead tells whether the user may read the folder. Who may write may read.
func (f Folder) MayRead(user string) bool {
	return slices.Contains(f.Read, user) || slices.Contains(f.Read, "*") || f.MayWrite(user)
}

// MayWrite tells whether the user may change the folder: store, mark, delete.
func (f Folder) MayWrite(user string) bool {
	return slices.Contains(f.Write, user) || slices.Contains(f.Write, "*")
}

// List is a name for several recipients.
type List struct {
	// Name is as a user's.
	Name string
	// Addresses are the list's; one without @ counts in each of the domains. None:
	// Name@domain in each of them.
	Addresses []string
	// Members are users, folders, NAME/Folder, SERVER:address, other lists, or addresses. A
	// list may contain itself by way of others: each member gets a message once. Members
	// outside the office get what staff send to the list, and never what was collected.
	Members []string
}

// Server is a mail server on the office's network. How it is reached is the mailroom's.
type Server struct {
	// Name is as a user's.
	Name string
}

// Box says where the mail of a POP3 box goes.
type Box struct {
	Name string
	// To are users, folders, lists, NAME/Folder, SERVER:address, or addresses of the office.
	// None, and no CatchAll: Options.Unplaced.
	To []string
	// CatchAll: the box has mail for several recipients, who are found in the header. Not
	// together with To.
	CatchAll *CatchAll
}

// DefaultHeaders are the fields in which a catch-all box's recipients are looked for, in
// this order, if none are chosen.
func DefaultHeaders() []string {
	return []string{"Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "Received"}
}

// CatchAll says how the recipients of a box's mail are found. The first field in the order
// that names a known recipient decides; those after it are not looked at.
type CatchAll struct {
	// Domains are those the box is for: other addresses in the header mean nothing. One
	// that is not the office's, such as the provider's, may stand here: an address there
	// that nobody has is then looked up by its local part in the office's domains. None:
	// Options.Domains.
	Domains []string
	// Headers are the fields that have the envelope's recipient, in the order in which they
	// are looked at. All values of a field count. In Received it is the address of a for
	// clause, from the top, and the first one known counts. None: DefaultHeaders.
	Headers []string
	// Prefix is what the provider puts before local parts, such as "mbox-user-": it is taken
	// off where it stands. "": nothing.
	Prefix string
	// Ignore are addresses of the box itself, which say nothing of the recipient.
	Ignore []string
	// ToCc: where those fields name nobody known, To and Cc are looked at. They are the
	// sender's words, and a Bcc is not in them.
	ToCc bool
	// Server takes all addresses of Domains, known here or not; "": none.
	Server string
	// Unknown are places, as in Box.To, for mail without a known recipient, and for a copy
	// of mail that has known and unknown ones. None: Options.Unplaced.
	Unknown []string
}

// The origins of a message, in Rule.Origin.
const (
	Collected = "collected" // pulled from a box
	Office    = "office"    // handed in by staff
)

// Rule is one thing to do with some of the mail. Of the conditions those that are given must
// all hold; of several values of one condition, any. Case doesn't matter, and * stands for
// any text. A rule without conditions is for all mail.
//
// A message goes on to the next rule unless Stop, DeliverTo or Discard says otherwise: the
// first rule that says where a message goes is the last one that is looked at. What
// earlier rules copied, forwarded or held remains so.
type Rule struct {
	// Name stands in reasons and reports. "": "rule N", by its number from 1.
	Name string

	// Origin is Collected, Office, or "" for both.
	Origin string
	// Box is the name of the box the message was in. Only collected mail has one.
	Box []string
	// From is the envelope's sender or one in From or Sender; To is a recipient of the
	// envelope, as far as it is known, or one in To or Cc. An address, @domain, or a
	// pattern with * for a whole address.
	From, To []string
	// Subject and ListID are text that the field contains; with * a pattern for all of it,
	// in ListID also for what stands between < and >.
	Subject, ListID []string
	// Header is "Name: text", as Subject for any field; nothing after the colon: the field
	// is there.
	Header []string
	// LargerThan and SmallerThan are octets of the whole message; 0: not asked.
	LargerThan, SmallerThan int64

	// DeliverTo are places as in Box.To, instead of where the message would go in the office.
	// Mail from staff that has no recipient in the office is not touched by it. Implies
	// Stop.
	DeliverTo []string
	// CopyTo are places that get the message as well.
	CopyTo []string
	// Folder is put in place of the folder, in each mailbox here that the message goes to so
	// far; copies stay where they are. Such as "News" or "News/Week".
	Folder string
	// Hold: the message waits for a person's decision. No later rule discards it.
	Hold bool
	// Forward are addresses outside that get the message as well; for collected mail this is
	// the only way out of the office. A message is not forwarded to its own sender, nor to
	// an address to which its Delivered-To says it has been delivered.
	Forward []string
	// Discard: the message goes nowhere, but for copies and forwards of earlier rules. The
	// rule must have a condition, and no other action. Mail from staff to recipients
	// outside still goes there. Implies Stop.
	Discard bool
	// Stop: no later rule is looked at.
	Stop bool
}
