package route

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bigOffice is an office of 30 with 50 rules.
func bigOffice() Options {
	opt := Options{
		Hostname: "gate.clinic.example", Domains: []string{"clinic.example", "clinic.test"},
		Folders: []Folder{{Name: "news"}, {Name: "archive"}},
		Lists:   []List{{Name: "staff", Members: []string{"user0", "user1", "user2", "news"}}},
		Servers: []Server{{Name: "exchange"}},
		Boxes:   []Box{{Name: "all", CatchAll: &CatchAll{ToCc: true}}, {Name: "one", To: []string{"user1"}}},
	}
	for i := range 30 {
		opt.Users = append(opt.Users, User{Name: fmt.Sprintf("user%d", i), Addresses: []string{fmt.Sprintf("u%d@isp.example", i)}})
	}
	for i := range 10 {
		opt.Rules = append(opt.Rules,
			Rule{From: []string{fmt.Sprintf("x%d@sender.example", i), fmt.Sprintf("@far%d.example", i)}, Folder: fmt.Sprintf("F%d", i)},
			Rule{Subject: []string{fmt.Sprintf("number %d7", i), "win*prize"}, CopyTo: []string{"archive"}},
			Rule{ListID: []string{fmt.Sprintf("list%d.example", i)}, DeliverTo: []string{"news"}},
			Rule{Header: []string{fmt.Sprintf("X-Kind: k%d*", i)}, Hold: true},
			Rule{To: []string{fmt.Sprintf("user%d@*", i)}, LargerThan: 100_000, Forward: []string{"carl@other.example"}},
		)
	}
	return opt
}

// mails makes n messages, of the median size of mail.
func mails(n int) []string {
	var list []string
	for i := range n {
		var b strings.Builder
		fmt.Fprintf(&b, "Return-Path: <x%d@sender.example>\r\nDelivered-To: pop17@isp.example\r\n", i%40)
		if i%3 == 0 {
			fmt.Fprintf(&b, "X-Original-To: user%d@clinic.example\r\n", i%31)
		}
		for hop := range 4 {
			fmt.Fprintf(&b, "Received: from mx%d.sender.example (mx%d.sender.example [192.0.2.%d])\r\n\tby in.isp.example (Postfix) with ESMTPS id %dX\r\n"+
				"\tfor <user%d@clinic.example>; Mon, 23 Nov 2026 10:00:%02d +0000 (UTC)\r\n", hop, hop, hop, i, i%30, hop)
		}
		for line := range 12 {
			fmt.Fprintf(&b, "X-Filter-%d: %s\r\n", line, strings.Repeat("abcdef0123456789", 5))
		}
		fmt.Fprintf(&b, "From: =?utf-8?Q?J=C3=BCrg?= %d <x%d@sender.example>\r\nTo: user%d@clinic.example, \"B, C\" <b@other.example>\r\n", i, i%40, i%30)
		fmt.Fprintf(&b, "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_number?= %d\r\nMessage-ID: <%d@sender.example>\r\n", i, i)
		if i%5 == 0 {
			fmt.Fprintf(&b, "List-Id: News <list%d.example>\r\n", i%20)
		}
		fmt.Fprintf(&b, "\r\n%s", strings.Repeat("The text of the message.\r\n", 60))
		list = append(list, b.String())
	}
	return list
}

// Reading the header and deciding, for a catch-all box. After it, the heap is as before.
// For 100,000 messages: -benchtime 100000x.
func BenchmarkRoute(b *testing.B) {
	tab, err := New(bigOffice())
	if err != nil {
		b.Fatal(err)
	}
	list := mails(2000)
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before, start, n := heap(), time.Now(), 0
	b.ReportAllocs()
	for b.Loop() {
		text := list[n%len(list)]
		h, err := ReadHeader(strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		if d := tab.Collected(Incoming{Box: "all", Header: h, Size: int64(len(text))}); len(d.To) == 0 {
			b.Fatal("lost")
		}
		n++
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "messages/s")
	b.ReportMetric(heap()-before, "B-heap-grown")
	runtime.KeepAlive(list)
}

// What a header costs that was made to cost: as many addresses and subjects as it may have.
func BenchmarkHostile(b *testing.B) {
	tab, err := New(bigOffice())
	if err != nil {
		b.Fatal(err)
	}
	text := "To: " + strings.Repeat("a@\u00e9.x,", MaxHeader/40) + "\r\nFrom: " + strings.Repeat("a@b,", MaxHeader/20) + "\r\n" + strings.Repeat("Subject: w\r\n", MaxHeader/40) + "\r\n"
	b.ReportAllocs()
	for b.Loop() {
		h, err := ReadHeader(strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		tab.Collected(Incoming{Box: "all", Header: h, Size: 1})
	}
}
