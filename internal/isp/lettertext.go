package isp

import (
	"bytes"
	"strings"
)

// The words of the sample letters: what offices like ours write about. They
// are functions because a package variable could be changed by anyone.

// subject makes one up; every third has letters beyond ASCII.
func (w *writer) subject() string {
	plain := []string{"Supplies for the next boat", "Re: fuel and generator hours", "Weekly report", "Visitors on Thursday",
		"Re: Re: exam papers", "Water samples", "Duty roster", "Radio check and weather"}
	if w.kind == utf8Letter || w.kind == quotedLetter {
		plain = []string{"Réunion de lundi à l'école", "Informe de la clínica: año nuevo", "Grüße vom Außenposten", "Отчёт за неделю"}
	}
	return plain[w.rng.IntN(len(plain))]
}

// prose fills about size octets with paragraphs of wrapped lines: whole
// sentences, so it may end some tens of octets later.
func (w *writer) prose(size int, from []string) []byte {
	var out bytes.Buffer
	column, count := 0, 0
	for out.Len() < size {
		for word := range strings.FieldsSeq(w.fill(from[w.rng.IntN(len(from))])) {
			switch {
			case column == 0:
			case column+1+len(word) > 72:
				out.WriteString("\r\n")
				column = 0
			default:
				out.WriteByte(' ')
				column++
			}
			out.WriteString(word)
			column += len(word)
		}
		if count++; count%5 == 0 {
			out.WriteString("\r\n\r\n")
			column = 0
		}
	}
	if column > 0 {
		out.WriteString("\r\n")
	}
	return out.Bytes()
}

// fill puts a word for each slot of a sentence: % a number, @ a place, ~ a
// thing.
func (w *writer) fill(sentence string) string {
	places := []string{"the clinic", "the harbour", "the lower school", "the airstrip", "the workshop", "the east camp", "headquarters"}
	things := []string{"diesel", "vaccines", "exercise books", "filters", "batteries", "seed potatoes", "spare belts", "rice", "blankets"}
	var out strings.Builder
	for _, r := range sentence {
		switch r {
		case '%':
			out.WriteString([]string{"two", "12", "40", "seven", "115", "nine", "1,300"}[w.rng.IntN(7)])
		case '@':
			out.WriteString(places[w.rng.IntN(len(places))])
		case '~':
			out.WriteString(things[w.rng.IntN(len(things))])
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

func sentences() []string {
	return []string{
		"We received % boxes of ~ at @ this morning, and % of them were wet.",
		"Please send ~ with the next boat if there is room.",
		"The generator ran for % hours and we had to stop it at noon.",
		"The road to @ is open again for small trucks.",
		"Could you ask @ whether they still need the ~?",
		"There were % patients yesterday, most of them children with the cough that goes around.",
		"I attach nothing this time because the line was bad all week.",
		"The roof of @ lost % sheets in the storm; nobody was hurt.",
		"We paid % for ~ and kept the receipt.",
		"The new pump works, but it needs ~ every % days.",
		"Nobody has told @ about the change of date yet.",
		"I shall be at @ from Tuesday and can be reached on channel %.",
		"Thank you for the ~, they came just in time.",
		"The inspector counted % bags of ~ where the list says %.",
		"As far as I can see we have enough ~ until the end of the month.",
		"Let us know what you decide before the office closes on Friday.",
	}
}

// accented are sentences beyond ASCII, of two and three octets a letter.
func accented() []string {
	return append(sentences()[:6:6],
		"Le médecin arrivera à @ après la fête, peut-être dès mardi.",
		"Nous avons reçu % caisses de ~, dont % abîmées par l'eau.",
		"El camión llegó mañana y tarde; faltan % cajas de ~ según el señor Núñez.",
		"Für die Rückfahrt brauchen wir % Fässer, größere gibt es hier nicht.",
		"Привезли % ящиков, дорога до посёлка размыта.",
		"The price is 45 € – not “about 40”, as @ was told…",
	)
}
