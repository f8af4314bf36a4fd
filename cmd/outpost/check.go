package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"outpost/internal/config"
)

// defaultConfig is where the configuration is looked for.
const defaultConfig = "/etc/outpost/outpost.toml"

// loadConfig reads the file that --config names. Its faults are a matter of
// usage: nothing was tried.
func loadConfig(cmd *cobra.Command) (*config.Config, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err, hint: "configs/outpost.toml shows every key with its default and reason"}
	}
	return cfg, nil
}

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "Read the configuration and name all its faults at once",
		Example: "  outpost check --config outpost.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "good: %d users, %d boxes, %d lines\n", len(cfg.Users), len(cfg.Boxes), len(cfg.Lines))
			for _, l := range cfg.Lines {
				fmt.Fprintf(out, "line %s: %s on %s, %s\n", l.Name, cfg.Modem(l).Name, l.Port, tariffOf(l.Tariff, cfg.Schedule.Location()).Describe())
			}
			return nil
		},
	}
}
