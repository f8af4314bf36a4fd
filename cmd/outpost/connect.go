package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"outpost/internal/control"
)

func connectCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "connect",
		Short: "Place a call now and show it until the line is down",
		Long: `Asks the running daemon for a call, shows what happens, and ends when the line
is down. If a call is under way already it is shown instead. Interrupting this
command does not end the call.`,
		Example: `  outpost connect --reason "results for the hospital"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := clientOf(cmd)
			if err != nil {
				return err
			}
			show := newProgress(cmd.OutOrStdout())
			end, err := client.Connect(cmd.Context(), reason, func(l control.Line) {
				if l.Event != nil {
					show.event(*l.Event)
				}
			})
			if err != nil {
				return err
			}
			return conclude(cmd, end)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "asked for", "why, for the ledger")
	return cmd
}

// conclude prints how a call ended and chooses the exit code.
func conclude(cmd *cobra.Command, end control.Line) error {
	if end.NoCall {
		return &exitError{code: exitNoCall, err: errors.New(end.Error)}
	}
	if end.Call.ID != 0 {
		fmt.Fprintln(cmd.OutOrStdout())
		printCall(cmd.OutOrStdout(), *end.Call)
	}
	if end.Error != "" {
		return &exitError{code: exitFailed, err: errors.New(end.Error), hint: end.Hint}
	}
	return nil
}

// clientOf gives the way to the daemon of the configuration.
func clientOf(cmd *cobra.Command) (*control.Client, error) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	return control.NewClient(cfg.Storage.Socket), nil
}
