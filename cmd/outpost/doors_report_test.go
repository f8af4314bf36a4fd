package main

import (
	"bufio"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"

	"outpost/queue"
)

// told is a recipient in a report of RFC 3464, as it is in somebody's mailbox.
type told struct {
	place                                 string // "ann INBOX"
	action, status, recipient, diagnostic string
	plain                                 string // the part for people
	returned                              string // the message, or its header
	from, to                              string
}

// reports takes the delivery reports among messages apart, by the subject of what they are about.
func (r *rig) reports(list []found) map[string][]told {
	r.t.Helper()
	all := make(map[string][]told)
	for _, f := range list {
		kind, params, _ := mime.ParseMediaType(f.header.Get("Content-Type"))
		if kind != "multipart/report" {
			continue
		}
		if params["report-type"] != "delivery-status" || f.header.Get("Return-Path") != "<>" || f.header.Get("Auto-Submitted") == "" {
			r.t.Errorf("a report has the header %v", f.header)
		}
		parts := multipart.NewReader(strings.NewReader(f.body), params["boundary"])
		one := told{place: f.place, from: f.header.Get("From"), to: f.header.Get("To")}
		var recipients []textproto.MIMEHeader
		for n := 0; ; n++ {
			part, err := parts.NextPart()
			if err == io.EOF && n == 3 {
				break
			}
			if err != nil {
				r.t.Fatalf("part %d of a report: %v\n%s", n, err, f.raw)
			}
			text, _ := io.ReadAll(part)
			switch kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); {
			case n == 0 && kind == "text/plain":
				one.plain = string(text)
			case n == 1 && kind == "message/delivery-status":
				recipients = r.groups(string(text))
			case n == 2 && (kind == "message/rfc822" || kind == "text/rfc822-headers"):
				one.returned = string(text)
			default:
				r.t.Errorf("part %d of a report is %s", n, kind)
			}
		}
		subject := ""
		for line := range strings.Lines(one.returned) {
			if s, ok := strings.CutPrefix(line, "Subject: "); ok {
				subject = strings.TrimSpace(s)
				break
			}
		}
		for _, g := range recipients {
			t := one
			t.action, t.status = g.Get("Action"), g.Get("Status")
			_, t.recipient, _ = strings.Cut(g.Get("Final-Recipient"), "; ")
			_, t.diagnostic, _ = strings.Cut(g.Get("Diagnostic-Code"), "; ")
			all[subject] = append(all[subject], t)
		}
	}
	return all
}

// groups are the groups of fields of a delivery status, but for the first, which is of the message (RFC 3464 §2.1).
func (r *rig) groups(text string) (list []textproto.MIMEHeader) {
	r.t.Helper()
	src := textproto.NewReader(bufio.NewReader(strings.NewReader(text + "\r\n")))
	for {
		group, err := src.ReadMIMEHeader()
		if len(group) > 0 {
			list = append(list, group)
		}
		if err != nil {
			break
		}
	}
	if len(list) < 2 || list[0].Get("Reporting-MTA") != "dns; gw.clinic.example" {
		r.t.Fatalf("a report says %q", text)
	}
	return list[1:]
}

// waiting are the messages that wait for a call.
func (r *rig) waiting() []queue.Message {
	r.t.Helper()
	list, err := r.office.queue.Waiting(queue.Remote)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}
