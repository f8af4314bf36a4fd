// Package maildir is a mailbox at rest: a Maildir++, as Dovecot reads and writes it.
//
// It owns the layout on the disk and the durable order of a delivery. Who gets
// what is package mailroom's; what a mail program sees is package imapd's.
//
// emersion/go-maildir is not used to deliver: it neither syncs nor names what it
// writes by the message, and its files can be read by everybody. It reads the
// result in the tests.
package maildir
