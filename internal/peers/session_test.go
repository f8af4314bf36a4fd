package peers_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"outpost/modem/modemtest"
	"outpost/queue"
)

// One call: everything goes out and every box comes in, over a modem, PPP, TCP
// and TLS, through servers that are all somebody else's.
func TestCallThroughRealServers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		line modemtest.Options
	}{
		{"a line without limits", modemtest.Options{}},
		{"a line with a rate", modemtest.Options{Up: 230_400, Down: 230_400, Delay: 20 * time.Millisecond, DialTime: 50 * time.Millisecond}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, test.line)
			defer o.show()
			in, out := o.stock(5)
			o.write(letter(1, "To some.\r\n"), "bob@far.example", "nobody@far.example", "eve@far.example")
			out = append(out, letter(1, "To some.\r\n"))

			row := o.call()
			if row.Error != "" || row.Collected != 25+len(letters()) || row.Deleted != row.Collected || row.Failed != 1 {
				t.Errorf("the ledger says %+v", row)
			}
			// Without a limit one direction is over before the other has begun.
			if test.line.Up > 0 && !o.both() {
				t.Error("mail came in only before or after it went out")
			}
			eachOnce(t, "sent", bodies(o.smarthost.Mail()), out)
			for name, want := range in {
				eachOnce(t, "collected for "+name, o.collected(name), want)
				if left := o.boxes.Left(name); len(left) != 0 {
					t.Errorf("%d messages are still in %s's box", len(left), name)
				}
			}
			// What was refused is the only thing left to send, and it is final.
			remote, err := o.queue.Waiting(queue.Remote)
			if err != nil || len(remote) != 0 {
				t.Errorf("still waiting to be sent: %v, %v", remote, err)
			}

			// The next call brings what is new, and nothing twice.
			late := letter(2, "Came later.\r\n")
			o.boxes.Deliver("dan", late)
			if row := o.call(); row.Collected != 1 || row.Sent != 0 {
				t.Errorf("the second call collected %d and sent %d", row.Collected, row.Sent)
			}
			eachOnce(t, "collected for dan", o.collected("dan"), append(in["dan"], late))
			eachOnce(t, "sent after two calls", bodies(o.smarthost.Mail()), out)
		})
	}
}

// The carrier drops again and again. Nothing is lost, nothing collected comes twice,
// and what is sent twice is what the queue said might be.
func TestCutCallsThroughRealServers(t *testing.T) {
	t.Parallel()
	// With a delay, for a carrier that lasts no time at all was never there.
	o := newOffice(t, modemtest.Options{Delay: 5 * time.Millisecond})
	defer o.show()
	in, out := o.stock(3)
	doubtful := map[string]int{} // by body, how often it may have been sent in vain
	for _, octets := range []int64{300, 2_000, 9_000, 25_000, 40_000, 55_000, 90_000} {
		o.modem.Set(func(line *modemtest.Options) { line.CutAfter = octets })
		o.cut(octets)
		list, err := o.queue.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			for _, r := range m.To {
				if r.Doubtful {
					doubtful[string(o.body(m))]++
					break
				}
			}
		}
	}
	o.modem.Set(func(line *modemtest.Options) { line.CutAfter = 0 })
	// What is sent again after a doubt is told; there must be no other trouble.
	row := o.call()
	for _, p := range row.Problems {
		if !strings.Contains(p, "may have arrived twice") {
			t.Errorf("the last call: %s", p)
		}
	}
	if row.Error != "" {
		t.Errorf("the last call: %s", row.Error)
	}
	for name, want := range in {
		eachOnce(t, "collected for "+name, o.collected(name), want)
	}
	mail := o.smarthost.Mail()
	for _, want := range out {
		n := 0
		for _, m := range mail {
			if bytes.Equal(m.Body, want) {
				n++
			}
		}
		if most := 1 + doubtful[string(want)]; n < 1 || n > most {
			t.Errorf("arrived %d times, want 1 to %d: %.100q", n, most, want)
		}
	}
	t.Logf("%d letters arrived in %d transactions, %d in doubt", len(out), len(mail), len(doubtful))
}

// cut places a call that does not come to its end.
func (o *office) cut(octets int64) {
	o.t.Helper()
	row, err := o.place()
	if err == nil && row.Error == "" && !strings.Contains(strings.Join(row.Problems, " "), "lost") {
		o.t.Errorf("a call cut after %d octets has nothing to say: %+v", octets, row)
	}
}
