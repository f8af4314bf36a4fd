// Outpost is the mail gateway of an office whose only way out is paid by the
// minute: it takes the staff's mail all day, places one call, moves everything
// both ways at once, hangs up, and writes down what it cost.
//
// This package is the command line and the wiring: it reads the configuration
// and pushes each part of it down as the options of the package that needs it.
// Nothing else imports the configuration, and nothing else exits.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // schedules have time zones; small computers often lack the files

	"github.com/spf13/cobra"

	"outpost/internal/control"
	"outpost/internal/session"
)

// Exit codes, the same for every command.
const (
	exitOK         = 0
	exitFailed     = 1 // what was asked for failed; the reason was printed
	exitUsage      = 2 // the command line or the configuration is wrong
	exitNotRunning = 3 // the daemon does not answer
	exitNoCall     = 4 // no call was placed because there was nothing to do
	exitLineOpen   = 5 // a line isn't confirmed to be down: it may be costing money
)

// version is set by the linker; see the Makefile.
var version = "unknown"

func main() {
	// A terminal that is closed ends the daemon in order, with its line down; a
	// reader of its output that is gone doesn't end it at all.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// exitError carries an exit code, and advice, up to run.
type exitError struct {
	code int
	hint string
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// Advice is printed behind the error.
func (e *exitError) Advice() string { return e.hint }

// run is the whole program short of exiting.
func run(ctx context.Context, args []string, io stdio) int {
	root := rootCommand(io) //nolint:contextcheck // the commands get ctx from ExecuteContext
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(io.err, "error:", err)
	if hint := session.Advice(err); hint != "" {
		fmt.Fprintln(io.err, "hint:", hint)
	}
	var e *exitError
	switch {
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, control.ErrNotRunning):
		fmt.Fprintln(io.err, "hint: start it with: outpost serve --config FILE")
		return exitNotRunning
	case errors.Is(err, control.ErrSilent):
		fmt.Fprintln(io.err, "hint: it hangs or was stopped; outpost hangup makes sure that no line is open")
		return exitNotRunning
	}
	return exitFailed
}

func rootCommand(io stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "outpost",
		Short: "The mail gateway of an office whose only way out is paid by the minute",
		Long: strings.TrimSpace(`
Outpost takes the office's mail all day, places one call, moves everything both
ways at once, hangs up, and writes down what it cost.

Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 the
daemon is not running, 4 no call was needed, 5 a line is not confirmed to be
down and may be costing money.`),
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{code: exitUsage, err: err} })
	root.PersistentFlags().StringP("config", "c", defaultConfig, "configuration file")
	root.AddCommand(demoCommand(), serveCommand(), connectCommand(), hangupCommand(), statusCommand(), queueCommand(), heldCommand(), routeCommand(),
		callsCommand(), checkCommand(), passwdCommand(), userCommand(), modemCommand())
	argsAreUsage(root)
	return root
}

// knownCommand refuses what is no command, and says what may have been meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := &exitError{code: exitUsage, err: fmt.Errorf("unknown command %q for outpost", args[0]), hint: "outpost --help names all"}
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		e.hint = "did you mean outpost " + strings.Join(like, " or ") + "?"
	}
	return e
}

// argsAreUsage makes wrong arguments of all commands a matter of usage, as wrong flags are.
func argsAreUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			var e *exitError
			if err == nil || errors.As(err, &e) {
				return err
			}
			return &exitError{code: exitUsage, err: err, hint: cmd.CommandPath() + " --help shows how it is called"}
		}
	}
	for _, sub := range cmd.Commands() {
		argsAreUsage(sub)
	}
}
