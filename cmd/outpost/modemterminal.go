package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"outpost/internal/config"
	"outpost/modem"
)

const (
	// escapeKey is Ctrl-], as telnet has it: modems and mail systems use it for nothing.
	escapeKey = 0x1d
	// hangUpLimit is for the hang-up at the end: DTR, two escapes and their guard times,
	// and all of it once more after the modem was set up anew.
	hangUpLimit = time.Minute
)

func modemTerminalCommand() *cobra.Command {
	var baud int
	var flow string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "terminal PORT|LINE",
		Short: "Talk to a modem by hand",
		Long: `Joins the terminal to a modem: what is typed goes to it, what it says is shown.
Ctrl-] ends it, and then the line is hung up for certain. LINE is the name of a
[[line]] of the configuration; PORT is a serial port, or usb:VID:PID.

From a pipe, each line is sent when the one before it was answered, and the end of
the input ends it. A modem that is silent is waited for as long as --wait says.

A call placed by hand costs money as any other, but it is not metered: it is not in
the ledger, and nothing limits it.`,
		Example: `  outpost modem terminal landline
  echo ATI3 | outpost modem terminal /dev/ttyUSB0
  echo ATDT5551234 | outpost modem terminal landline --wait 90s`,
		Args: oneArgument("the port, or the name of a line of the configuration"),
		RunE: func(cmd *cobra.Command, args []string) error {
			line, err := lineOrPort(cmd, args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("baud") {
				line.options.Baud = baud
			}
			if cmd.Flags().Changed("flow-control") {
				line.options.Flow = modem.Flow(flow)
			}
			switch line.options.Flow {
			case modem.RTSCTS, modem.XONXOFF, modem.NoFlow, "":
			default:
				return &exitError{code: exitUsage, err: fmt.Errorf("--flow-control %s: must be %s, %s or %s", flow, modem.RTSCTS, modem.XONXOFF, modem.NoFlow)}
			}
			return terminal(cmd, line, wait)
		},
	}
	cmd.Flags().IntVar(&baud, "baud", modem.DefaultBaud, "rate between computer and modem in bit/s")
	cmd.Flags().StringVar(&flow, "flow-control", string(modem.RTSCTS), "rtscts, xonxoff or none")
	cmd.Flags().DurationVar(&wait, "wait", 2*time.Second, "how long a modem may be silent before the next line of a pipe is sent")
	return cmd
}

// oneArgument wants one, and says which.
func oneArgument(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &exitError{code: exitUsage, err: fmt.Errorf("name one thing: %s", what)}
		}
		return nil
	}
}

// handset is a modem to talk to.
type handset struct {
	options modem.PortOptions
	profile modem.Profile
	secrets []string
}

// lineOrPort finds what is meant: a line of the configuration, whose port, rate and
// profile are known, or a port.
func lineOrPort(cmd *cobra.Command, name string) (handset, error) {
	port := handset{options: modem.PortOptions{Name: name}, profile: modem.Generic()}
	cfg, err := loadConfig(cmd)
	switch {
	case err != nil && isPort(name):
		return port, nil // a port needs no configuration
	case err != nil:
		return handset{}, err
	}
	var names []string
	for _, l := range cfg.Lines {
		if l.Name == name {
			return handsetOf(cfg, l), nil
		}
		names = append(names, l.Name)
	}
	if isPort(name) {
		return port, nil
	}
	return handset{}, &exitError{code: exitUsage, err: fmt.Errorf("no line is called %s", name),
		hint: "the configuration has " + strings.Join(names, ", ") + "; a port is named by its path, such as /dev/ttyUSB0"}
}

func handsetOf(cfg *config.Config, l config.Line) handset {
	m := cfg.Modem(l)
	return handset{
		options: modem.PortOptions{Name: l.Port, Baud: l.Baud, Flow: modem.Flow(l.FlowControl)},
		profile: profileOf(m), secrets: secretsOf(m, l),
	}
}

// isPort tells a port from the name of a line.
func isPort(name string) bool {
	return strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, "usb:") || strings.HasPrefix(strings.ToUpper(name), "COM")
}

// terminal is the conversation and the hang-up after it.
func terminal(cmd *cobra.Command, h handset, wait time.Duration) error {
	say := cmd.ErrOrStderr()
	h.options.Note = func(text string) { fmt.Fprintln(say, "note:", text) }
	port, err := modem.OpenPort(h.options)
	if err != nil {
		return err
	}
	m := modem.New(port, h.profile, modem.Options{Secrets: h.secrets})
	fmt.Fprintf(say, "On %s. A call placed by hand is not metered, and nothing limits it.\n", h.options.Name)
	t := modem.Terminal{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Script: true, Quiet: wait}
	restore, err := raw(t.In)
	if err == nil {
		t.Script, t.Escape = false, escapeKey
		fmt.Fprint(say, "Ctrl-] ends it and hangs up.\r\n")
	}
	err = m.Converse(cmd.Context(), t)
	restore()
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	return errors.Join(err, comeDown(cmd.Context(), m, say), m.Close())
}

// raw makes a terminal hand over each key as it is pressed; what is no terminal is an
// error. restore is never nil.
func raw(in io.Reader) (restore func(), err error) {
	f, ok := in.(*os.File)
	if !ok {
		return func() {}, errors.New("not a file")
	}
	fd := int(f.Fd()) //nolint:gosec // a descriptor fits
	before, err := term.MakeRaw(fd)
	if err != nil {
		return func() {}, err
	}
	return func() { _ = term.Restore(fd, before) }, nil
}

// comeDown hangs up whatever was done to the modem by hand, also when ctx has ended. One
// that can't be seen to be down is set up anew and hung up again: it may have been told to say
// nothing, or to hold its carrier signal up.
func comeDown(ctx context.Context, m *modem.Modem, say io.Writer) error {
	fmt.Fprintln(say, "\nhanging up")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hangUpLimit)
	defer cancel()
	err := m.Hangup(ctx)
	if err == nil {
		return nil
	}
	fmt.Fprintln(say, "not confirmed yet; setting the modem up and trying again")
	if fault := m.Init(ctx); fault != nil {
		err = errors.Join(err, fault)
	}
	if again := m.Hangup(ctx); again != nil {
		return errors.Join(again, err)
	}
	return nil
}
