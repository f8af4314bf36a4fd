package main

import "github.com/spf13/cobra"

func modemCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "modem",
		Short: "Find out about the modems and try them",
	}
	cmd.AddCommand(dialTestCommand())
	return cmd
}
