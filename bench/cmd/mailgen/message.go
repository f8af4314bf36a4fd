package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"time"
)

// generator makes messages, the same ones for the same seed.
type generator struct {
	rng *rand.Rand
	n   int // messages made
}

// size deals the attachment sizes evenly among the messages; the others are text
// with log-normal sizes around the median.
func (g *generator) size(median int, attach []int, i, total int) int {
	if len(attach) > 0 {
		step := total / len(attach)
		if k := i / step; i%step == step/2 && k < len(attach) {
			return attach[k]
		}
	}
	s := float64(median) * math.Exp(0.5*g.rng.NormFloat64())
	return int(min(max(s, 0.3*float64(median)), 4*float64(median)))
}

var words = strings.Fields(`the of and to in a is that for it was on are as with his they at be this
from have or by one had not but what all were when we there can an your which their said if do will
each about how up out them then she many some so these would other into has more her two like him see
time could no make than first been its who now people my made over did down only way find use may water
long little very after words called just where most know station generator diesel delivery invoice
harbour weather forecast shipment clinic supplies manifest schedule repair pump schoolbook clinic road
container permit estimate quotation attached regards meeting tomorrow office report survey samples
antenna battery terminal voyage crew engine cargo latitude position departure arrival customs`)

// attachFrom is the size from which the greater part of a message is an attachment.
const attachFrom = 15000

// message makes a message of about size octets, with Unix line ends.
func (g *generator) message(from, to string, size int) []byte {
	g.n++
	date := time.Unix(1700000000+int64(g.n)*600, 0).UTC().Format(time.RFC1123Z)
	var b bytes.Buffer
	if strings.HasSuffix(to, "@isp.test") { // it has come a way already
		fmt.Fprintf(&b, "Return-Path: <%s>\nReceived: from mx%d.example.net (mx%d.example.net [192.0.2.%d])\n\tby mx.isp.test (Postfix) with ESMTPS id %08X\n\tfor <%s>; %s\n",
			from, g.rng.Intn(4), g.rng.Intn(4), g.rng.Intn(250), g.rng.Uint32(), to, date)
	}
	fmt.Fprintf(&b, "From: Some Sender <%s>\nTo: <%s>\nSubject: %s\nDate: %s\nMessage-ID: <%d.%08x@%s>\nMIME-Version: 1.0\n",
		from, to, g.words(5), date, g.n, g.rng.Uint32(), from[strings.Index(from, "@")+1:])
	if size < attachFrom {
		b.WriteString("Content-Type: text/plain; charset=us-ascii\n\n")
		g.text(&b, size-b.Len())
		return b.Bytes()
	}
	bound := fmt.Sprintf("=_%08x", g.rng.Uint32())
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"%s\"\n\n--%s\nContent-Type: text/plain; charset=us-ascii\n\n", bound, bound)
	g.text(&b, 1500)
	fmt.Fprintf(&b, "\n--%s\nContent-Type: application/octet-stream; name=\"scan%d.bin\"\nContent-Transfer-Encoding: base64\n\n", bound, g.n)
	raw := make([]byte, max(size-b.Len(), 0)*3/4*76/77)
	g.rng.Read(raw)
	for enc := base64.StdEncoding.EncodeToString(raw); len(enc) > 0; {
		n := min(76, len(enc)) // RFC 2045 §6.8
		b.WriteString(enc[:n] + "\n")
		enc = enc[n:]
	}
	fmt.Fprintf(&b, "--%s--\n", bound)
	return b.Bytes()
}

func (g *generator) words(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = words[g.rng.Intn(len(words))]
	}
	return strings.Join(list, " ")
}

// text writes about n octets of prose, with lines whose dots SMTP and POP3 have
// to double.
func (g *generator) text(b *bytes.Buffer, n int) {
	end := b.Len() + max(n, 40)
	for i := 0; b.Len() < end; i++ {
		switch {
		case i%23 == 11:
			b.WriteString(".\n")
		case i%23 == 17:
			b.WriteString(".. " + g.words(3) + "\n")
		case i%9 == 8:
			b.WriteString("\n")
		default:
			b.WriteString(g.words(9+g.rng.Intn(4)) + "\n")
		}
	}
}

// wireSize is the size of a message with CRLF line ends.
func wireSize(msg []byte) int { return len(msg) + bytes.Count(msg, []byte("\n")) }
