package ppp

import (
	"strings"
	"testing"
)

// rfc1661Table is RFC 1661 §4.1 as printed there, without the footnote letters'
// meaning: r, p and x after a state are skipped.
const rfc1661Table = `
Up   |    2     irc,scr/6     -         -         -         -       -       -       -       -
Down |    -         -         0       tls/1       0         1       1       1       1       tld/1
Open |  tls/1       1     irc,scr/6     3r        5r        5r      6       7       8       9r
Close|    0       tlf/0       2         2         4         4   irc,str/4 irc,str/4 irc,str/4 tld,irc,str/4
TO+  |    -         -         -         -       str/4     str/5   scr/6   scr/6   scr/8       -
TO-  |    -         -         -         -       tlf/2     tlf/3   tlf/3p  tlf/3p  tlf/3p      -
RCR+ |    -         -       sta/2 irc,scr,sca/8   4         5     sca/8   sca,tlu/9 sca/8 tld,scr,sca/8
RCR- |    -         -       sta/2 irc,scr,scn/6   4         5     scn/6   scn/7   scn/6   tld,scr,scn/6
RCA  |    -         -       sta/2     sta/3       4         5     irc/7   scr/6x  irc,tlu/9 tld,scr/6x
RCN  |    -         -       sta/2     sta/3       4         5   irc,scr/6 scr/6x  irc,scr/8 tld,scr/6x
RTR  |    -         -       sta/2     sta/3     sta/4     sta/5   sta/6   sta/6   sta/6   tld,zrc,sta/5
RTA  |    -         -         2         3       tlf/2     tlf/3     6       6       8     tld,scr/6
RUC  |    -         -       scj/2     scj/3     scj/4     scj/5   scj/6   scj/7   scj/8   scj/9
RXJ+ |    -         -         2         3         4         5       6       6       8       9
RXJ- |    -         -       tlf/2     tlf/3     tlf/2     tlf/3   tlf/3   tlf/3   tlf/3   tld,irc,str/5
RXR  |    -         -         2         3         4         5       6       7       8     ser/9
`

var actionNames = map[string]action{
	"tld": tld, "tls": tls, "tlf": tlf, "irc": irc, "zrc": zrc, "scr": scr,
	"sca": sca, "scn": scn, "str": str, "sta": sta, "scj": scj, "ser": ser, "tlu": tlu,
}

// parseCell reads "irc,scr/6", "3r" or "-".
func parseCell(t *testing.T, cell string, from state) transition {
	if cell == "-" {
		return transition{illegal, from}
	}
	var do action
	names, to, found := strings.Cut(cell, "/")
	if !found {
		names, to = "", cell
	}
	last := action(0)
	for name := range strings.SplitSeq(names, ",") {
		if name == "" {
			continue
		}
		one, ok := actionNames[name]
		if !ok {
			t.Fatalf("unknown action %q", name)
		}
		if one <= last {
			t.Errorf("%s: the bits are not in the order of the RFC's list", cell)
		}
		last = one
		do |= one
	}
	return transition{do, state(to[0] - '0')}
}

func TestTableIsRFC1661(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(rfc1661Table), "\n")
	if len(rows) != int(events) {
		t.Fatalf("%d rows, want %d", len(rows), events)
	}
	for ev, row := range rows {
		name, cells, _ := strings.Cut(row, "|")
		columns := strings.Fields(cells)
		if len(columns) != int(states) {
			t.Fatalf("%s: %d columns", name, len(columns))
		}
		for s, cell := range columns {
			want := parseCell(t, cell, state(s))
			if got := table[ev][s]; got != want {
				t.Errorf("%s in state %d: %+v, want %+v (%s)", strings.TrimSpace(name), s, got, want, cell)
			}
		}
	}
}

// A restart timer may run only in states 4 to 8 (RFC 1661 §4.2), and every
// action that starts one must lead there.
func TestTimedStates(t *testing.T) {
	for ev := range table {
		for s, cell := range table[ev] {
			if cell.do&(scr|str|zrc) != 0 && !cell.to.timed() {
				t.Errorf("event %d in state %d starts a timer and goes to %d", ev, s, cell.to)
			}
		}
	}
}

// The automaton itself, and not only its table: whatever the event, the state
// that follows is the table's, and so is what the layer is told.
func TestAutomatonFollowsTable(t *testing.T) {
	for ev := range events {
		for s := range states {
			l := &recorder{}
			var count counters
			e := newEngine(Config{}.withDefaults(), newWriter(nil, 0, &count), &count)
			a := newAutomaton(e, l, 0x8fff, "test")
			a.state = s
			a.deliver(ev)
			cell := table[ev][s]
			if a.state != cell.to {
				t.Errorf("event %d in state %d leads to %d, want %d", ev, s, a.state, cell.to)
			}
			if l.seen != cell.do&(tlu|tld|tlf) {
				t.Errorf("event %d in state %d: layer saw %b, want %b", ev, s, l.seen, cell.do)
			}
			if running := !a.timer.at.IsZero(); running && !a.state.timed() {
				t.Errorf("event %d in state %d: timer runs in state %d", ev, s, a.state)
			}
		}
	}
}

// recorder is a layer without options that notes what it is told.
type recorder struct{ seen action }

func (r *recorder) ask() []option                           { return nil }
func (r *recorder) judge([]option) (naks, rejects []option) { return nil, nil }
func (r *recorder) agreed()                                 {}
func (r *recorder) naked([]option)                          {}
func (r *recorder) rejected([]option)                       {}
func (r *recorder) up()                                     { r.seen |= tlu }
func (r *recorder) down()                                   { r.seen |= tld }
func (r *recorder) finished()                               { r.seen |= tlf }
func (r *recorder) extra(packet) bool                       { return false }
