package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// modemCommand is what is done with a modem by hand, without the daemon.
func modemCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "modem",
		Short: "Find modems, talk to one by hand, try a line",
		Long: `Tools for setting a modem up. They open the serial port themselves and need no
daemon; a port that another program uses, the daemon in a call included, is left
alone.`,
		Example: `  outpost modem probe
  outpost modem terminal landline
  outpost modem dial-test landline`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &exitError{code: exitUsage, err: fmt.Errorf("unknown command %q for outpost modem", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(modemProbeCommand(), modemTerminalCommand(), dialTestCommand())
	return cmd
}
