package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"outpost/internal/config"
	"outpost/internal/control"
	"outpost/internal/dispatch"
	"outpost/internal/session"
	"outpost/modem"
)

// orderlyLimit is how long a daemon that answers may take to end its call and check
// every line: the work gets 15 s, bringing a line down a minute at most.
const orderlyLimit = 100 * time.Second

func hangupCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "hangup",
		Short: "End the call under way and make sure that every line is down",
		Long: `Asks the running daemon to end the call under way in order, and to look at the
modem of every line, whether there was a call or not. The ledger says who asked.

If the daemon is not running, or does not answer for 5 s because it hangs or was
stopped, the modems are taken from it: their ports are opened and each is put
on-hook from here. Where the daemon has a port to itself it is ended for that,
with SIGTERM, and with SIGKILL 8 s later. --force does so without asking it first.

A line counts as down only when it was seen: the carrier signal was up and went
down, or the modem said OK to ATH and shows no carrier. Exit codes: 0 every line
was seen on-hook; 5 one was not: it may be open and cost money, so switch its
modem off or pull the telephone cable.`,
		Example: `  outpost hangup
  outpost hangup --force`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			h := &hangup{cmd: cmd, cfg: cfg}
			return h.run(cmd.Context(), force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "take the modems from the daemon without asking it")
	return cmd
}

// hangup is one run of the command.
type hangup struct {
	cmd *cobra.Command
	cfg *config.Config
}

func (h *hangup) say(format string, args ...any) {
	fmt.Fprintf(h.cmd.OutOrStdout(), format+"\n", args...)
}

// run asks the daemon, and takes the modems itself if that comes to nothing.
func (h *hangup) run(ctx context.Context, force bool) error {
	if !force {
		lines, err := h.ask(ctx)
		switch {
		case err == nil:
			return h.conclude(lines)
		case errors.Is(err, fs.ErrPermission):
			return &exitError{code: exitFailed, err: err, hint: "run this as the daemon's user, or as root"}
		case ctx.Err() != nil:
			return err
		}
		h.say("%v: going to the modems directly", err)
	}
	before, _ := daemonPID(h.cfg.Storage.Socket)
	lines := h.seize(ctx)
	// Whatever looks after the daemon may have started a new one, which checks the
	// lines first of all and has the ports now.
	if after, _ := daemonPID(h.cfg.Storage.Socket); !allDown(lines) && after != 0 && after != before {
		h.say("there is a new daemon (process %d)", after)
		if asked, err := h.ask(ctx); err == nil {
			lines = asked
		}
	}
	return h.conclude(lines)
}

// ask has the daemon do it, and shows how it goes.
func (h *hangup) ask(ctx context.Context) ([]control.LineDown, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, orderlyLimit, fmt.Errorf("the daemon has not ended the call in %v", orderlyLimit))
	defer cancel()
	show := newProgress(h.cmd.OutOrStdout())
	end, err := control.NewClient(h.cfg.Storage.Socket).Hangup(ctx, whoAsks(), func(l control.Line) { show.event(*l.Event) })
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return nil, err
	}
	if call := end.HungUp.Call; call != nil {
		h.say("")
		printCall(h.cmd.OutOrStdout(), *call)
		h.say("")
	}
	if end.Error != "" {
		h.say("%s\nthe daemon goes on trying; %s", end.Error, hintForce)
	}
	return end.HungUp.Lines, nil
}

// whoAsks is the person, as far as the system knows.
func whoAsks() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" && sudo != name {
		name += " (" + sudo + ")"
	}
	return name
}

// conclude prints what is known of each line and chooses the exit code.
func (h *hangup) conclude(lines []control.LineDown) error {
	var open *exitError
	for _, l := range lines {
		if l.Down {
			h.say("line %s: on-hook (%s)", l.Line, l.Proof)
			continue
		}
		h.say("line %s: NOT CONFIRMED: %s", l.Line, l.Error)
		if open == nil {
			open = &exitError{code: exitLineOpen, err: fmt.Errorf("line %s is not confirmed to be down", l.Line), hint: l.Hint}
		}
	}
	if open != nil {
		return open
	}
	if slices.ContainsFunc(h.cfg.Lines, func(l config.Line) bool { return l.Port != "" }) {
		if len(lines) > 0 {
			return nil
		}
		return &exitError{code: exitLineOpen, err: errors.New("no line was looked at: none is confirmed to be down"), hint: hintForce}
	}
	h.say("no line has a modem: there is nothing to hang up")
	return nil
}

func allDown(lines []control.LineDown) bool {
	return !slices.ContainsFunc(lines, func(l control.LineDown) bool { return !l.Down })
}

// lineDown is what a line was seen to be when it was just reset.
func lineDown(l line, err error) control.LineDown {
	if err == nil {
		return control.LineDown{Line: l.Name(), Down: true, Proof: l.Proof()}
	}
	d := control.LineDown{Line: l.Name(), Error: strings.TrimPrefix(err.Error(), "line "+l.Name()+": "), Hint: session.Advice(err)}
	var port *modem.OpenError
	if errors.As(err, &port) {
		d.Error, d.Hint = port.Error(), port.Advice()
	}
	return d
}

// hangup is what the control socket does when it is asked to.
func (o *office) hangup(ctx context.Context, by string) (control.HungUp, error) {
	o.log.Info("asked to hang up", "by", by)
	row, err := o.dispatch.Hangup(ctx, by)
	o.mu.Lock()
	lines := slices.Clone(o.seen)
	o.mu.Unlock()
	if errors.Is(err, dispatch.ErrStopped) || ctx.Err() != nil || len(lines) != len(o.lines) {
		// Nobody looked since: what was seen before is no proof.
		lines = nil
		for _, l := range o.lines {
			lines = append(lines, control.LineDown{Line: l.Name(), Error: fmt.Sprintf("it was not looked at: %v", err), Hint: hintForce})
		}
	}
	return control.HungUp{Call: row, Lines: lines}, err
}

// hintForce is for a line that the daemon can't bring down.
const hintForce = "outpost hangup --force takes the modem from the daemon; if that fails too, switch it off or pull the telephone cable"
