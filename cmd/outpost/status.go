package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"outpost/internal/control"
	"outpost/queue"
)

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Say what the daemon is doing, when the next call is, and what waits",
		Example: "  outpost status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := clientOf(cmd)
			if err != nil {
				return err
			}
			s, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			printStatus(cmd.OutOrStdout(), s)
			return nil
		},
	}
}

func printStatus(w io.Writer, s control.Status) {
	fmt.Fprintf(w, "state:      %s\n", s.State)
	if s.Line != "" {
		fmt.Fprintf(w, "ALARM:      no call before the line is known to be down: %s\n", s.Line)
	}
	if s.Hint != "" {
		fmt.Fprintf(w, "hint:       %s\n", s.Hint)
	}
	if s.Next.IsZero() {
		fmt.Fprintln(w, "next call:  when asked for; none is scheduled")
	} else {
		fmt.Fprintf(w, "next call:  %s (%s)\n", s.Next.Format("Mon 2006-01-02 15:04 MST"), s.Why)
	}
	fmt.Fprintf(w, "outgoing:   %s, %s\n", count(s.Waiting, "message waits", "messages wait"), size(s.WaitingBytes))
	if f := s.Forecast; f.Duration > 0 {
		fmt.Fprintf(w, "expected:   %s on line %s (%s out, some %s in), %s\n", f.Duration, f.Line, size(f.Out), size(f.In), f.Cost)
	}
	if s.Failed > 0 {
		fmt.Fprintf(w, "failed:     %s refused for good, and the sender is yet to be told; see: outpost queue\n", count(s.Failed, "message was", "messages were"))
	}
	if s.Held > 0 {
		fmt.Fprintf(w, "held:       %s for a decision; see: outpost held\n", count(s.Held, "message waits", "messages wait"))
	}
	if s.Decided > 0 {
		fmt.Fprintf(w, "decided:    %s with the next call; see: outpost held\n", count(s.Decided, "held message comes or is deleted", "held messages come or are deleted"))
	}
	if s.Undelivered > 0 {
		fmt.Fprintf(w, "incoming:   %s not delivered in the office yet; see: outpost queue\n", count(s.Undelivered, "message is", "messages are"))
	}
	if s.Damaged != "" {
		fmt.Fprintf(w, "damaged:    %s; the rest is not concerned, and the log says more\n", s.Damaged)
	}
	if s.Last != nil {
		fmt.Fprintf(w, "last call:  %s, %d sent, %d collected, %s, %s\n", s.Last.Begun.Local().Format(time.DateTime+" MST"),
			s.Last.Sent, s.Last.Collected, s.Last.Metered.Round(time.Second), money(s.Last.Cost, s.Last.Currency))
		for _, problem := range s.Last.Problems {
			fmt.Fprintf(w, "problem:    %s\n", problem)
		}
	}
	if s.Error != "" {
		fmt.Fprintf(w, "trouble:    %s\n", s.Error)
	}
}

func queueCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "queue",
		Short:   "List the messages that wait, with the state of each recipient",
		Example: "  outpost queue",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := clientOf(cmd)
			if err != nil {
				return err
			}
			messages, err := client.Queue(cmd.Context())
			if err != nil {
				return err
			}
			printQueue(cmd.OutOrStdout(), messages)
			return nil
		},
	}
}

func printQueue(w io.Writer, messages []queue.Message) {
	if len(messages) == 0 {
		fmt.Fprintln(w, "the queue is empty")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "id\tsize\treceived\tfrom\tto\tstate")
	for _, m := range messages {
		from := "<" + m.From + ">"
		if m.Origin == queue.Collected {
			from = "box " + m.Box
		}
		for i, r := range m.To {
			id, octets, received := string(m.ID), size(m.Size), m.Received.Local().Format(time.DateTime)
			if i > 0 {
				id, octets, received, from = "", "", "", ""
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", id, octets, received, from, r.Addr, stateOf(r))
		}
	}
	_ = t.Flush()
}

// stateOf says a recipient's state with the reason, where there is one.
func stateOf(r queue.Recipient) string {
	s := string(r.State)
	if r.Doubtful {
		s += " (may arrive twice: the line died before the answer)"
	}
	if r.Reply != "" && r.State != queue.Sent {
		s += ": " + legible(strings.Join(strings.Fields(r.Reply), " "))
	}
	return s
}

func callsCommand() *cobra.Command {
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "Show the ledger: what the last calls moved and cost",
		Example: `  outpost calls --limit 5
  outpost calls show 17`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := clientOf(cmd)
			if err != nil {
				return err
			}
			calls, err := client.Calls(cmd.Context(), limit)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), calls)
			}
			for i, c := range calls {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				printCall(cmd.OutOrStdout(), c)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 1, "how many calls, newest first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the rows as JSON, newest first; durations in nanoseconds")
	cmd.AddCommand(callsShowCommand())
	return cmd
}
