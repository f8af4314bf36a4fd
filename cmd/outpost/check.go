package main

import (
	"fmt"
	"strings"

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
			cert, err := certificateThere(cfg)
			if err != nil {
				return &exitError{code: exitUsage, err: fmt.Errorf("smtp.cert_file: %w", err)}
			}
			fmt.Fprintln(out, "good:", contents(cfg))
			if cert != nil {
				fmt.Fprintf(out, "certificate: SHA-256 %s\ncertificate: SHA-1 %s, which Windows calls its thumbprint\n", fingerprint(*cert), thumbprint(*cert))
			} else {
				fmt.Fprintf(out, "certificate: one for %s is made at the first start\n", cfg.Office.Name)
			}
			for _, l := range cfg.Lines {
				fmt.Fprintf(out, "line %s: %s, %s\n", l.Name, wayOf(cfg, l), tariffOf(l.Tariff, cfg.Schedule.Location()).Describe())
			}
			for _, note := range remarks(cfg) {
				fmt.Fprintln(out, "note:", note)
			}
			return nil
		},
	}
}

// remarks are what is right and may not be what was meant.
func remarks(cfg *config.Config) (notes []string) {
	if cfg.Office.Postmaster == "" && cfg.Hold.Manager == "" {
		notes = append(notes, "there is no office.postmaster and no hold.manager: what can't be placed, and what nobody else is told, goes to mail/unrouted, which no mail program shows")
	}
	for _, u := range cfg.Users {
		if u.Internal() && len(cfg.SMTP.TrustedNetworks) > 0 && !cfg.SMTP.SignInOutside {
			notes = append(notes, fmt.Sprintf("user %s may send within the office only, but computers on smtp.trusted_networks are not asked who they are, and may use another's address: see smtp.sign_in_outside", u.Name))
		}
	}
	return notes
}

// wayOf says what a line goes over.
func wayOf(cfg *config.Config, l config.Line) string {
	switch {
	case l.Port != "":
		return cfg.Modem(l).Name + " on " + l.Port
	case l.Interface != "":
		return "network on " + l.Interface
	}
	return "the network that is there"
}

// contents counts what a configuration has. What most offices don't have is named only
// where there is some.
func contents(cfg *config.Config) string {
	parts := []string{count(len(cfg.Users), "user", "users"), count(len(cfg.Boxes), "box", "boxes"), count(len(cfg.Lines), "line", "lines")}
	for _, more := range []struct {
		n         int
		one, many string
	}{
		{len(cfg.Folders), "folder", "folders"}, {len(cfg.Lists), "list", "lists"},
		{len(cfg.Servers), "server", "servers"}, {len(cfg.Rules), "rule", "rules"},
	} {
		if more.n > 0 {
			parts = append(parts, count(more.n, more.one, more.many))
		}
	}
	return strings.Join(parts, ", ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
