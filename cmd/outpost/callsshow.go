package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"outpost/internal/control"
	"outpost/queue"
)

func callsShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [ID]",
		Short: "Show all that the ledger knows of one call, the modem's dialogue included",
		Long: `Shows a call's row whole: its times, what each phase moved and cost, every problem,
and word for word what was said to the modem and what it answered ("> " sent,
"< " came, "-- " done to or seen of the control lines; secrets are masked).
Without a number it is the last call, also one under way, as far as it is stored.`,
		Example: `  outpost calls show
  outpost calls show 17 --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := callID(args)
			if err != nil {
				return err
			}
			client, err := clientOf(cmd)
			if err != nil {
				return err
			}
			call, err := client.Call(cmd.Context(), id)
			if errors.Is(err, control.ErrNoCall) {
				return &exitError{code: exitFailed, err: err, hint: "outpost calls --limit 20 lists the last ones"}
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), call)
			}
			printWhole(cmd.OutOrStdout(), call)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "the row as JSON; durations in nanoseconds")
	return cmd
}

// callID reads the number of a call; 0, the newest, when there is none.
func callID(args []string) (uint64, error) {
	if len(args) == 0 {
		return 0, nil
	}
	id, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil || id == 0 {
		return 0, &exitError{code: exitUsage, err: fmt.Errorf("%q is not the number of a call", args[0])}
	}
	return id, nil
}

// printWhole is printCall with what only matters when something is to be found out.
func printWhole(w io.Writer, c queue.Call) {
	printCall(w, c)
	fmt.Fprintln(w)
	for _, t := range []struct {
		what string
		at   time.Time
	}{{"begun", c.Begun}, {"answered", c.Connected}, {"ended", c.Ended}} {
		if !t.at.IsZero() {
			fmt.Fprintf(w, "%-10s %s\n", t.what+":", t.at.Local().Format("2006-01-02 15:04:05.000 MST"))
		}
	}
	if c.Units > 0 {
		fmt.Fprintf(w, "charged:   %s\n", count(int(c.Units), "billing unit", "billing units"))
	}
	if n := c.Handshakes + c.Resumed; n > 0 {
		fmt.Fprintf(w, "TLS:       %d connections, %d of them resumed\n", n, c.Resumed)
	}
	if c.Failed > 0 {
		fmt.Fprintf(w, "refused:   %s\n", count(c.Failed, "message", "messages"))
	}
	if c.Transcript == "" {
		fmt.Fprintln(w, "\nno dialogue with a modem was kept")
		return
	}
	what := "the dialogue with the modem"
	if c.Number == "" { // nothing was dialled
		what = "what was noted of the line"
	}
	fmt.Fprintf(w, "\n%s:\n\n", what)
	for line := range strings.Lines(c.Transcript) {
		fmt.Fprintf(w, "  %s", line)
	}
}

// printJSON writes a value for another program, and legible all the same.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false) // the dialogue's < and > are meant to be read
	return enc.Encode(v)
}
