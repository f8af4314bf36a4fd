package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"outpost/internal/users"
)

func passwdCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "passwd",
		Short: "Make the hash of a password for a [[user]]",
		Long:  "Reads a password, without showing it, and prints the line for the configuration.\nPasswords that need no line there are made with: outpost user",
		Example: `  outpost passwd
  echo secret | outpost passwd`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(cmd, "password: ")
			if err != nil {
				return err
			}
			hash, err := users.Hash(password)
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "password = %q\n", hash)
			return nil
		},
	}
}

// newPassword reads a password, from a terminal twice, and gives its hash.
func newPassword(cmd *cobra.Command) (string, error) {
	password, err := readPassword(cmd, "password: ")
	if err != nil {
		return "", err
	}
	if _, asked := terminalOf(cmd); asked {
		again, err := readPassword(cmd, "once more: ")
		if err != nil {
			return "", err
		}
		if again != password {
			return "", &exitError{code: exitUsage, err: errors.New("the two are not the same"), hint: "nothing was changed"}
		}
	}
	hash, err := users.Hash(password)
	if err != nil {
		return "", &exitError{code: exitUsage, err: err}
	}
	return hash, nil
}

// terminalOf is where a person types, if one does.
func terminalOf(cmd *cobra.Command) (fd int, ok bool) {
	f, ok := cmd.InOrStdin().(*os.File)
	if !ok {
		return 0, false
	}
	return int(f.Fd()), term.IsTerminal(int(f.Fd()))
}

// readPassword reads a line, from a terminal without echo.
func readPassword(cmd *cobra.Command, prompt string) (string, error) {
	if fd, ok := terminalOf(cmd); ok {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		text, err := term.ReadPassword(fd)
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(text), err
	}
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && line == "" {
		return "", errors.New("no password on standard input")
	}
	return strings.TrimRight(line, "\r\n"), nil
}
