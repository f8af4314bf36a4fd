package route

import "strings"

// mail is a message as rules look at it: what they ask for is found once.
type mail struct {
	in     *Incoming
	origin string
	rcpts  []string // of the envelope, as far as they are known

	from, to         []address
	haveFrom, haveTo bool
	fields           map[string][]string
}

// senders are the envelope's sender and those in From and Sender.
func (m *mail) senders() []address {
	if !m.haveFrom {
		m.haveFrom = true
		m.from = canonicals(append([]string{m.in.From}, m.in.Header.Addresses("From")...))
		m.from = append(m.from, canonicals(m.in.Header.Addresses("Sender"))...)
	}
	return m.from
}

// recipients are those of the envelope and those in To and Cc, also without their
// +detail.
func (m *mail) recipients() []address {
	if !m.haveTo {
		m.haveTo = true
		all := canonicals(m.rcpts)
		all = append(all, canonicals(m.in.Header.Addresses("To"))...)
		all = append(all, canonicals(m.in.Header.Addresses("Cc"))...)
		for _, a := range all {
			m.to = append(m.to, a)
			if base, _, ok := strings.Cut(a.local, "+"); ok && base != "" {
				m.to = append(m.to, address{base, a.domain})
			}
		}
	}
	return m.to
}

func canonicals(list []string) []address {
	var out []address
	for _, text := range list {
		if text != "" {
			out = append(out, canonical(text))
		}
	}
	return out
}

// texts are the values of the fields of that name, decoded and folded. Of a List-Id also the
// part between < and > (RFC 2919 §3).
func (m *mail) texts(field string) []string {
	if list, ok := m.fields[field]; ok {
		return list
	}
	var list []string
	for _, v := range m.in.Header.Values(field) {
		v = fold(decodeWords(v))
		list = append(list, v)
		if _, id, ok := strings.Cut(v, "<"); ok && field == "List-Id" {
			id, _, _ = strings.Cut(id, ">")
			list = append(list, id)
		}
	}
	if m.fields == nil {
		m.fields = map[string][]string{}
	}
	m.fields[field] = list
	return list
}
