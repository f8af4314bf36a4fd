package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.bug.st/serial"

	"outpost/internal/config"
	"outpost/internal/control"
	"outpost/internal/isp"
	"outpost/internal/users"
	"outpost/modem"
	"outpost/modem/modemtest"
)

func demoCommand() *cobra.Command {
	var line string
	var stay, verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play a day of a field office, without hardware and without root",
		Long: `Runs a whole gateway beside a pretend provider, joined by a simulated modem and
telephone line: staff hand in mail by SMTP, one call moves everything both ways,
and the modem hangs up. Everything speaks the wire: AT commands, PPP, TCP/IP, TLS,
SMTP, POP3, DNS; only the line itself is simulated, in real time.

Ends with 0 only if every message arrived where it should, once and octet for
octet, and the modem confirmed on-hook.`,
		Example: `  outpost demo
  outpost demo --line iridium
  outpost demo --stay`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			preset, err := presetNamed(line)
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			d := &demo{preset: preset, out: cmd.OutOrStdout(), in: cmd.InOrStdin(), log: log, stay: stay}
			return d.play(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&line, "line", "landline", "the kind of line: landline, gsm or iridium")
	cmd.Flags().BoolVar(&stay, "stay", false, "leave everything up for a real mail program, and place a call on Enter")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the logs of both sides")
	return cmd
}

// demo is a gateway and a provider with a line between them.
type demo struct {
	preset preset
	out    io.Writer
	in     io.Reader
	log    *slog.Logger
	stay   bool

	dir      string
	cfg      *config.Config
	modem    *modemtest.Modem
	provider *isp.Provider
	office   *office
	smtp     string // where the staff hand in mail
	story    story
}

// play sets the stage, plays the day, and takes everything down again.
func (d *demo) play(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "outpost-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	if err := d.build(); err != nil {
		return err
	}
	defer d.modem.Close()
	ctx, cancel := context.WithCancel(ctx)
	provider, served := make(chan error, 1), make(chan error, 1)
	go func() { provider <- d.provider.Answer(ctx, d.modem) }()
	sockets, err := d.office.listen(ctx)
	if err != nil {
		cancel()
		return errors.Join(err, d.office.close())
	}
	d.smtp = sockets.plain[0].Addr().String()
	go func() { served <- d.office.run(ctx, sockets) }()

	err = d.day(ctx)
	if d.stay && err == nil {
		d.remain(ctx)
	}
	cancel()
	err = errors.Join(err, <-served, d.office.close())
	_ = d.modem.Close()
	<-provider
	return err
}

// build makes the provider, the line and the office, the latter from a
// configuration file like anybody's.
func (d *demo) build() (err error) {
	d.story = newStory(d.preset)
	if d.provider, err = d.preset.provider(d.story, d.log); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "provider-ca.pem"), d.provider.CAPEM(), 0o600); err != nil {
		return err
	}
	file := filepath.Join(d.dir, "outpost.toml")
	listen, imap := "127.0.0.1:0", ""
	if d.stay {
		listen, imap = "127.0.0.1:2525", `"127.0.0.1:1143"`
		if err := d.admit("ann", "ben", "chloe"); err != nil {
			return err
		}
	}
	if err := os.WriteFile(file, []byte(d.preset.configuration(listen, imap, d.provider)), 0o600); err != nil {
		return err
	}
	if d.cfg, err = config.Load(file); err != nil {
		return err
	}
	d.modem = modemtest.New(d.preset.modem())
	d.office, err = openOffice(d.cfg, opening{
		log:  d.log,
		port: func(modem.PortOptions) (serial.Port, error) { return d.modem.Port(), nil },
	})
	return err
}

// admit lets people sign in, as outpost user passwd does.
func (d *demo) admit(names ...string) error {
	data := filepath.Join(d.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	hash, err := users.Hash(demoPassword)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := users.Open(filepath.Join(data, "users")).Add(name, hash); err != nil {
			return err
		}
	}
	return nil
}

// day is what happens from morning to the evening's call.
func (d *demo) day(ctx context.Context) error {
	fmt.Fprintf(d.out, "A day at the clinic. The line: %s.\nCost: %s.\n\n", d.preset.describe(), tariffOf(d.cfg.Lines[0].Tariff, d.cfg.Schedule.Location()).Describe())
	for _, l := range d.story.out {
		if err := handIn(ctx, d.smtp, l); err != nil {
			return fmt.Errorf("handing in mail: %w", err)
		}
		fmt.Fprintf(d.out, "  %s  %s writes to %s (%s)\n", l.hour, l.from, strings.Join(l.to, ", "), size(int64(len(l.text))))
	}
	if err := d.awaitLocal(ctx); err != nil {
		return err
	}
	fmt.Fprintln(d.out, "         mail between colleagues is in their folders already, without a call")
	for _, l := range d.story.in {
		fmt.Fprintf(d.out, "  %s  at the provider, mail for box %s (%s)\n", l.hour, l.box, size(int64(len(l.text))))
	}
	fmt.Fprintf(d.out, "\n  18:00  the evening's call\n\n")
	if err := d.call(ctx, "the evening's call"); err != nil {
		return err
	}
	if err := d.awaitDelivery(ctx); err != nil {
		return err
	}
	return d.verify()
}

// call asks the gateway for a call as `outpost connect` does, and shows it.
func (d *demo) call(ctx context.Context, reason string) error {
	client := control.NewClient(d.cfg.Storage.Socket)
	show := newProgress(d.out)
	end, err := client.Connect(ctx, reason, func(l control.Line) {
		if l.Event != nil {
			show.event(*l.Event)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(d.out)
	printCall(d.out, *end.Call)
	if end.Error != "" {
		return errors.New(end.Error)
	}
	return nil
}

// remain leaves the stage to a real mail program.
func (d *demo) remain(ctx context.Context) {
	fmt.Fprintf(d.out, `
Everything stays up. In your mail program set

  your address      ann@%[2]s (or ben, chloe)
  incoming (IMAP)   127.0.0.1, port 1143, STARTTLS, name ann, password %[4]s
  outgoing (SMTP)   127.0.0.1, port %[1]s, no encryption, no password

and write to anybody; to nobody@%[2]s, to see what a sender is told; to
call@gateway.%[2]s, to have a call placed. Mailboxes (Maildir): %[3]s
The provider's boxes get no new mail by themselves; this demo adds a letter to
box ann before each call.

Press Enter to place a call, Ctrl-C or end of input to leave.
`, d.smtp[strings.LastIndexByte(d.smtp, ':')+1:], officeDomain, filepath.Join(d.cfg.Storage.Dir, "mail"), demoPassword)
	enter := make(chan bool)
	go func() {
		defer close(enter)
		for lines := bufio.NewScanner(d.in); lines.Scan(); {
			select {
			case enter <- true:
			case <-ctx.Done():
				return
			}
		}
	}()
	for n := int64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case _, more := <-enter:
			if !more {
				return
			}
		}
		d.provider.AddMail("ann", isp.Letters(1000+n, 1, isp.LetterOptions{To: []string{"ann@" + officeDomain}, Traced: true})[0])
		if err := d.call(ctx, "Enter was pressed"); err != nil {
			fmt.Fprintln(d.out, "error:", err)
		}
		fmt.Fprintf(d.out, "\nThe smarthost has %d messages now. Enter for another call.\n", len(d.provider.Received()))
	}
}

// patience bounds how long the demo waits for a delivery to a local folder.
const patience = 20 * time.Second
