package peers_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
)

// letter is a message of one test with a Message-ID of its own, so that no two are alike.
func letter(n int, body string) []byte {
	return fmt.Appendf(nil, "Message-ID: <%d@office.example>\r\nFrom: Ann <ann@office.example>\r\nSubject: letter %d\r\n\r\n%s", n, n, body)
}

// letters are what mail systems have been known to spoil: dots, octets over 127, long
// lines, odd ends, trailing blanks, header fields that somebody likes to drop.
func letters() [][]byte {
	bodies := []string{
		"A line.\r\n",
		"", // no body at all
		".\r\n..\r\n...\r\n.a\r\n\r\n.\r\n",
		"QUIT\r\n.QUIT\r\nRSET\r\nFrom the start of an mbox\r\n>From\r\n",
		"8 bit, Latin-1: \xe9\xe8\xff\xa0, and UTF-8: \u00e9\u20ac\U0001f4ee\r\n",
		"trailing blanks \t \r\n\r\n\r\n\r\n",
		long(900) + "\r\n" + long(998) + "\r\n" + "." + long(997) + "\r\n",
		text(40_000),
	}
	var all [][]byte
	for i, body := range bodies {
		all = append(all, letter(i, body))
	}
	// Bcc and Return-Path are dropped by some on the way, folded lines rejoined.
	return append(all, []byte("Return-Path: <x@y.example>\r\nBcc: <secret@y.example>\r\nSubject: folded\r\n\tline\r\n  and another\r\nX-Odd:no blank\r\n\r\nText.\r\n"))
}

// long is a line of n octets without its end.
func long(n int) string { return string(bytes.Repeat([]byte("0123456789"), n/10+1)[:n]) }

// text is about n octets of lines with a dot in front of many of them.
func text(n int) string {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	var b bytes.Buffer
	for b.Len() < n {
		for range random.IntN(3) {
			b.WriteByte('.')
		}
		for range random.IntN(70) {
			b.WriteByte(byte(' ' + random.IntN(95)))
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

// eachOnce fails the test unless got is want, in any order and each exactly once.
func eachOnce(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	count := make(map[[sha256.Size]byte]int)
	for _, m := range got {
		count[sha256.Sum256(m)]++
	}
	for _, m := range want {
		sum := sha256.Sum256(m)
		if n := count[sum]; n != 1 {
			t.Errorf("%s: %d times, want once: %.200q", what, n, m)
		}
		delete(count, sum)
	}
	for _, m := range got {
		if count[sha256.Sum256(m)] > 0 {
			t.Errorf("%s: unlike any that was sent: %.200q", what, m)
		}
	}
}
