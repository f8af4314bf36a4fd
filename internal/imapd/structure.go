package imapd

import (
	"math"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// structure is the part as BODYSTRUCTURE tells it (RFC 3501 §7.4.2).
func (p *part) structure() imap.BodyStructure {
	disposition, language, location := p.extras()
	if p.multipart() {
		b := &imap.BodyStructureMultiPart{Subtype: p.sub, Extended: &imap.BodyStructureMultiPartExt{
			Params: p.params, Disposition: disposition, Language: language, Location: location,
		}}
		for _, c := range p.children {
			b.Children = append(b.Children, c.structure())
		}
		if len(b.Children) == 0 {
			// The grammar has no multipart without parts.
			b.Children = append(b.Children, emptyText())
		}
		return b
	}
	b := &imap.BodyStructureSinglePart{
		Type: p.kind, Subtype: p.sub, Params: p.params,
		ID: first(p.header, "Content-ID"), Description: first(p.header, "Content-Description"),
		Encoding: p.encoding(),
		Size:     uint32(min(p.end-p.body, math.MaxUint32)), //nolint:gosec // bounded
		Extended: &imap.BodyStructureSinglePartExt{Disposition: disposition, Language: language, Location: location},
	}
	switch {
	case p.kind == "message" && p.sub == "rfc822" && p.inner != nil:
		b.MessageRFC822 = &imap.BodyStructureMessageRFC822{
			Envelope: envelope(p.inner.header), BodyStructure: p.inner.structure(), NumLines: p.lines,
		}
	case p.kind == "message" && p.sub == "rfc822":
		// Too deep to be taken apart; but the grammar wants an envelope with that type.
		b.Type, b.Subtype = "application", "octet-stream"
	case p.kind == "text":
		b.Text = &imap.BodyStructureText{NumLines: p.lines}
	}
	return b
}

// encoding is the Content-Transfer-Encoding, "7bit" where it makes no sense.
func (p *part) encoding() string {
	e, _ := parameters(first(p.header, "Content-Transfer-Encoding"))
	e = strings.ToLower(e)
	if e == "" || len(e) > 40 || strings.ContainsFunc(e, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "7bit"
	}
	return e
}

// extras are the fields that only BODYSTRUCTURE has.
func (p *part) extras() (d *imap.BodyStructureDisposition, language []string, location string) {
	if main, params := parameters(first(p.header, "Content-Disposition")); main != "" {
		d = &imap.BodyStructureDisposition{Value: strings.ToLower(main), Params: params}
	}
	for _, l := range split(first(p.header, "Content-Language"), ',') {
		if l = strings.TrimSpace(l); l != "" && len(language) < maxParameters {
			language = append(language, l)
		}
	}
	return d, language, first(p.header, "Content-Location")
}

// emptyText stands where there is no part.
func emptyText() imap.BodyStructure {
	return &imap.BodyStructureSinglePart{
		Type: "text", Subtype: "plain", Params: map[string]string{"charset": "us-ascii"}, Encoding: "7bit",
		Text: &imap.BodyStructureText{}, Extended: &imap.BodyStructureSinglePartExt{},
	}
}
