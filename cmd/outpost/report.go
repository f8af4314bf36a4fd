package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"outpost/queue"
)

// printCall writes a call's row of the ledger as a person reads it: what moved,
// where the seconds went, what it cost, what went wrong.
func printCall(w io.Writer, c queue.Call) {
	fmt.Fprintf(w, "Call %d on line %s", c.ID, c.Line)
	if c.Number != "" {
		fmt.Fprintf(w, " to %s", c.Number)
	}
	fmt.Fprintf(w, ", %s (%s)\n\n", c.Begun.Local().Format(time.DateTime), c.Reason)

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\tseconds\tbytes up\tbytes down\tcost\t")
	for _, p := range c.Phases {
		fmt.Fprintf(t, "%s\t%.1f\t%d\t%d\t%s\t\n", p.Name, p.Duration.Seconds(), p.Up, p.Down, money(p.Cost, c.Currency))
	}
	fmt.Fprintf(t, "line up\t%.1f\t%d\t%d\t%s\t\n", c.Metered.Seconds(), c.Up, c.Down, money(c.Cost, c.Currency))
	_ = t.Flush()

	if t := c.Traffic; t != nil && c.Up > 0 && c.Down > 0 {
		fmt.Fprintf(w, "\nof use:  %s, %s\n", useful("up", c.Up, t.UpPayload, t.UpResent), useful("down", c.Down, t.DownPayload, t.DownResent))
	}

	fmt.Fprintf(w, "\n%s sent (%s), %d collected (%s), %d deleted at the provider\n",
		count(c.Sent, "message", "messages"), size(c.SentBytes), c.Collected, size(c.CollectedBytes), c.Deleted)
	printSorted(w, c)
	switch {
	case c.Ended.IsZero():
		fmt.Fprintln(w, "the call has not ended, or was cut off with the computer")
	case c.OnHook && c.Connected.IsZero():
		fmt.Fprintln(w, "the line was not answered, and is down")
	case c.OnHook && c.Number == "": // nothing was dialled
		fmt.Fprintln(w, "the line is confirmed to be down")
	case c.OnHook:
		fmt.Fprintln(w, "the modem confirmed on-hook")
	default:
		fmt.Fprintln(w, "ALARM: the line is not confirmed to be down; it may be costing money")
	}
	why := strings.Join(strings.Fields(c.Error), " ")
	if told := func(p string) bool { return strings.Contains(p, why) }; why != "" && !slices.ContainsFunc(c.Problems, told) {
		fmt.Fprintln(w, "error:", why)
	}
	for _, p := range c.Problems {
		fmt.Fprintln(w, "problem:", p)
	}
}

// printSorted says what of the collected went another way than into a mailbox.
func printSorted(w io.Writer, c queue.Call) {
	if c.Copies > 0 {
		fmt.Fprintf(w, "%d were copies of mail that everybody had from another box\n", c.Copies)
	}
	for _, rule := range slices.Sorted(maps.Keys(c.Discarded)) {
		fmt.Fprintf(w, "%d discarded by rule %q\n", c.Discarded[rule], rule)
	}
	if c.Held > 0 {
		fmt.Fprintf(w, "%d too big to come unasked; see: outpost held\n", c.Held)
	}
}

// useful says what of a direction's octets was payload, and what of that was paid for
// twice.
func useful(way string, octets, payload, resent int64) string {
	s := fmt.Sprintf("%s %d bytes (%.0f %%)", way, payload, 100*float64(payload)/float64(octets))
	if resent > 0 {
		s += fmt.Sprintf(" and %d sent twice", resent)
	}
	if payload > octets {
		s += fmt.Sprintf(", %d bytes saved by compression", payload-octets)
	}
	return s
}

func money(amount, currency string) string { return strings.TrimSpace(amount + " " + currency) }
