package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"outpost/internal/config"
	"outpost/internal/link"
	"outpost/internal/session"
	"outpost/modem"
)

// dialTestLimit is the hard limit of a test call: a dial takes a minute and a half at
// most, PPP one, and each answer that doesn't come some seconds.
const dialTestLimit = 5 * time.Minute

func dialTestCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dial-test [LINE]",
		Short: "Place one short call, with a timeline: dial, PPP, a ping, hang up",
		Long: `Opens the line's port, initialises the modem, dials, brings PPP up, has somebody at
the far end answer once, hangs up and looks that the line is down. It tells each
step with the seconds since the start, and what that cost. It costs money, like
any call.

The daemon must not run: it has the modem. The call is written into the ledger if
there is one, as every call that was paid for. LINE may be left out where there
is only one. Exit codes: 0 it all worked; 1 it didn't, and the dialogue with the
modem is shown; 5 the line is not confirmed to be down.`,
		Example: `  outpost modem dial-test landline
  outpost modem dial-test --json iridium`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			line, err := lineNamed(cfg, args)
			if err != nil {
				return err
			}
			// Who reads must not hold up a call: see logWriter.
			out, alarms := newLogWriter(cmd.OutOrStdout()), newLogWriter(cmd.ErrOrStderr())
			t := &dialTest{out: out, err: alarms, cfg: cfg, line: line, quiet: asJSON}
			err = t.run(cmd.Context())
			out.flush()
			alarms.flush()
			if asJSON && !t.begun.IsZero() { // else nothing was dialled
				t.result.Hint = session.Advice(err)
				if fault := printJSON(cmd.OutOrStdout(), t.result); fault != nil {
					return fault
				}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object at the end instead of lines; times in seconds")
	return cmd
}

// lineNamed gives the line to try.
func lineNamed(cfg *config.Config, args []string) (config.Line, error) {
	var names []string
	for _, l := range cfg.Lines {
		if l.Port == "" {
			continue // nothing is dialled
		}
		if len(args) == 1 && l.Name == args[0] || len(args) == 0 && len(cfg.Lines) == 1 {
			return l, nil
		}
		names = append(names, l.Name)
	}
	there := "no line has a modem"
	if len(names) > 0 {
		there = "there are: " + strings.Join(names, ", ")
	}
	if len(args) == 0 {
		return config.Line{}, &exitError{code: exitUsage, err: errors.New("which line?"), hint: there}
	}
	return config.Line{}, &exitError{code: exitUsage, err: fmt.Errorf("no line %q that is dialled", args[0]), hint: there}
}

// dialTest is one run of the command.
type dialTest struct {
	out, err *logWriter
	cfg      *config.Config
	line     config.Line
	quiet    bool // only the result is printed

	begun    time.Time
	recorded bool // the call gets into the ledger

	mu     sync.Mutex // steps come from several goroutines
	over   bool       // what still comes is too late
	result dialResult
	pinged error
}

// say prints a line, unless a program reads.
func (t *dialTest) say(format string, args ...any) {
	if !t.quiet {
		fmt.Fprintf(t.out, format+"\n", args...)
	}
}

func (t *dialTest) step(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	at := time.Since(t.begun)
	t.result.Steps = append(t.result.Steps, dialStep{inSeconds(at), what})
	t.say("%8.2f s  %s", at.Seconds(), what)
}

// run places the call, as the daemon places its calls: with a watchdog, a hang-up
// that is tried again, and a row that is written before the modem is touched.
func (t *dialTest) run(ctx context.Context) error {
	ledger, done, err := t.ledger(ctx)
	if err != nil {
		return err
	}
	defer done()
	price := tariffOf(t.line.Tariff, t.cfg.Schedule.Location())
	keepRunning()
	fmt.Fprintf(t.err, "calling %s on line %s, which costs money: %s\n", t.line.Number, t.line.Name, price.Describe())
	t.begun = time.Now()
	wired := modemConfig(t.cfg, t.line, modem.OpenPort, slog.New(slog.DiscardHandler))
	wired.OnStep, wired.Memory = t.step, ledger
	line := link.NewModemLine(wired)
	call := session.New(session.Options{
		Queue: ledger,
		Lines: []session.Route{{Line: line, Tariff: price, MaxCall: min(t.line.MaxCall(), dialTestLimit)}},
		Jobs:  []session.Job{{Name: "ping", Do: func(ctx context.Context) error { return t.ping(ctx, line) }}},
		OnEvent: func(e session.Event) {
			if e.Kind == session.Alarm {
				fmt.Fprintln(t.err, "ALARM:", e.Text)
			}
		},
	})
	row, err := call.Call(ctx, "dial test", true)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over = true; err == nil {
		err = t.pinged
	}
	t.tell(row, err, line)
	return t.verdict(err)
}

// ping has somebody at the far end answer.
func (t *dialTest) ping(ctx context.Context, line *link.ModemLine) error {
	pong, err := line.Ping(ctx)
	if err != nil {
		t.step("nobody at the far end answers")
	} else {
		t.step(fmt.Sprintf("%s answered the %s after %.3f s", pong.From, pong.How, pong.RTT.Seconds()))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pinged = err; err == nil {
		t.result.Ping = &dialPing{From: pong.From.String(), How: pong.How, RTT: inSeconds(pong.RTT)}
	}
	return err
}

// verdict is the command's error, with the dialogue that shows why.
func (t *dialTest) verdict(err error) error {
	if err == nil {
		return nil
	}
	if t.result.Transcript != "" {
		t.say("\nthe dialogue with the modem:\n\n%s", t.result.Transcript)
	}
	code := exitFailed
	var open *session.OpenLineError
	if errors.As(err, &open) {
		code = exitLineOpen
	}
	return &exitError{code: code, err: err, hint: session.Advice(err)}
}
