package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"outpost/internal/config"
	"outpost/internal/users"
)

// userCommand is what is done with the users file, without the daemon.
func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Add people, set passwords, say who may sign in",
		Long: `Works on the users file (storage.users_file), whether the daemon runs or not. Who
may sign in changes at once, at every door. Run it as the user that Outpost runs
as, or as root.`,
		Example: `  outpost user add carol
  outpost user passwd ann
  outpost user list`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &exitError{code: exitUsage, err: fmt.Errorf("unknown command %q for outpost user", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(userAddCommand(), userPasswdCommand(), userListCommand(), userDisableCommand(), userEnableCommand())
	return cmd
}

func userAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME",
		Short: "Add somebody, with a mailbox and a password",
		Long: `Asks for a password, without showing it, or reads it from standard input. NAME is
what to sign in with, and has the address NAME@ each of office.domains; no
[[user]] is needed. A daemon that runs has the mailbox from the next message on.`,
		Example: `  outpost user add carol
  echo secret | outpost user add carol`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if err := users.CheckName(name); err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			switch kind := cfg.Kind(name); {
			case kind == "user":
				return &exitError{code: exitUsage, err: fmt.Errorf("there is a user %q already", name), hint: "a new password: outpost user passwd " + name}
			case kind != "":
				return &exitError{code: exitUsage, err: fmt.Errorf("%q is the name of a %s", name, kind), hint: "users, folders, lists and servers share one set of names"}
			}
			hash, err := newPassword(cmd)
			if err != nil {
				return err
			}
			if err := users.Open(cfg.Storage.UsersFile).Add(name, hash); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "added %s: %s\n", name, strings.Join(addressesOf(cfg, config.User{Name: name}), ", "))
			return nil
		},
	}
}

func userPasswdCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "passwd NAME",
		Short: "Give somebody another password",
		Example: `  outpost user passwd ann
  echo secret | outpost user passwd ann`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, file, err := knownUser(cmd, args[0])
			if err != nil {
				return err
			}
			hash, err := newPassword(cmd)
			if err != nil {
				return err
			}
			if err := file.SetHash(args[0], hash); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s has a new password\n", args[0])
			return nil
		},
	}
}

func userDisableCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "disable NAME",
		Short: "Keep somebody from signing in",
		Long: `The mailbox stays, and mail to it is delivered as before. A mail program that has
signed in already is not cut off. To take somebody out altogether, delete his line
from the users file and his [[user]] from the configuration.`,
		Example: "  outpost user disable ben",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, file, err := knownUser(cmd, args[0])
			if err != nil {
				return err
			}
			if err := file.Disable(args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s cannot sign in any more; the mailbox is kept\n", args[0])
			return nil
		},
	}
}

func userEnableCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "enable NAME",
		Short:   "Let somebody sign in again, with the password there was",
		Example: "  outpost user enable ben",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, file, err := knownUser(cmd, args[0])
			if err != nil {
				return err
			}
			if err := file.Enable(args[0]); err != nil {
				return err
			}
			list, err := file.List()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s may sign in: %s\n", args[0], signIn(cfg, list, args[0]))
			return nil
		},
	}
}

func userListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List everybody, and who may sign in",
		Example: "  outpost user list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			list, err := users.Open(cfg.Storage.UsersFile).List()
			if err != nil {
				return err
			}
			printUsers(cmd.OutOrStdout(), cfg, list)
			return nil
		},
	}
}

func printUsers(w io.Writer, cfg *config.Config, list []users.Entry) {
	if len(cfg.Users) == 0 {
		fmt.Fprintln(w, "there are no users; add one with: outpost user add NAME")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "name\tsigns in\tstands in\taddresses")
	for _, u := range cfg.Users {
		from := "configuration"
		if u.FromUsersFile {
			from = "users file"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", u.Name, signIn(cfg, list, u.Name), from, strings.Join(addressesOf(cfg, u), ", "))
	}
	_ = t.Flush()
}

// signIn says how somebody signs in, as users.Guard decides it.
func signIn(cfg *config.Config, list []users.Entry, name string) string {
	for _, e := range list {
		switch {
		case e.Name != name:
		case e.Disabled:
			return "disabled"
		case e.Hash != "":
			return "with a password of the users file"
		}
	}
	for _, u := range cfg.Users {
		if u.Name == name && u.Password != "" {
			return "with a password of the configuration"
		}
	}
	return "no password"
}

// addressesOf are a user's by his name and those that are given him.
func addressesOf(cfg *config.Config, u config.User) []string {
	var all []string
	for _, d := range cfg.Office.Domains {
		all = append(all, u.Name+"@"+d)
	}
	for _, a := range u.Addresses {
		if !containsFold(all, a) {
			all = append(all, a)
		}
	}
	return all
}

func containsFold(list []string, text string) bool {
	for _, s := range list {
		if strings.EqualFold(s, text) {
			return true
		}
	}
	return false
}

// knownUser wants a user of the configuration or of the users file.
func knownUser(cmd *cobra.Command, name string) (*config.Config, *users.File, error) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Kind(name) != "user" {
		return nil, nil, &exitError{code: exitUsage, err: fmt.Errorf("there is no user %q", name), hint: "outpost user list names all; outpost user add makes one"}
	}
	return cfg, users.Open(cfg.Storage.UsersFile), nil
}
