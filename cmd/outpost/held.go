package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"outpost/internal/control"
)

func heldCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "held",
		Short: "List what waits for a person's decision: big mail at the provider, mail that a rule or its size holds here",
		Example: `  outpost held
  outpost held release 7k3m9q2x
  outpost held refuse 01kb2n6v7p0q3r5s8t9w1x2y4z`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := clientOf(cmd)
			if err != nil {
				return err
			}
			held, err := client.Held(cmd.Context())
			if err != nil {
				return err
			}
			printHeld(cmd.OutOrStdout(), held)
			return nil
		},
	}
	cmd.AddCommand(
		decideCommand("release", "Let held messages go: from the provider with the next call, from here at once or with the next call", true),
		decideCommand("refuse", "Give held messages up: what staff sent goes back to them, what came from outside is deleted, here or at the provider", false))
	return cmd
}

func decideCommand(name, short string, release bool) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID...", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			client, err := clientOf(cmd)
			if err != nil {
				return err
			}
			var faults []error
			for _, id := range ids {
				text, err := client.Decide(cmd.Context(), id, release)
				switch {
				case errors.Is(err, control.ErrNotHeld):
					faults = append(faults, &exitError{code: exitFailed, err: fmt.Errorf("%w: %s", err, id), hint: "outpost held lists what is"})
				case err != nil:
					faults = append(faults, err)
				default:
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", id, text)
				}
			}
			return errors.Join(faults...)
		},
	}
}

func printHeld(w io.Writer, held []control.Held) {
	if len(held) == 0 {
		fmt.Fprintln(w, "nothing is held")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "id\twhere\tsize\tsince\tfrom\tto\tsubject\twhy")
	for _, h := range held {
		where := "here"
		if h.AtProvider {
			where = "provider"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.ID, where, size(h.Size), h.Since.Local().Format(time.DateTime),
			short(legible(h.From), 40), legible(strings.Join(h.To, ", ")), short(legible(h.Subject), 50), legible(h.Why))
	}
	_ = t.Flush()
}

// short is a text of so many letters at most, so that a line stays one on the screen.
func short(s string, most int) string {
	if letters := []rune(s); len(letters) > most {
		return string(letters[:most-3]) + "..."
	}
	return s
}
