package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"outpost/internal/config"
	"outpost/internal/control"
	"outpost/modem"
	"outpost/queue"
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway: take mail, place calls, deliver",
		Long: `Runs until it is told to stop (SIGINT, SIGTERM, SIGHUP); a call under way is
ended in order first. No call is placed before every line is known to be
on-hook, because a crash may have left one open.`,
		Example: "  outpost serve --config outpost.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			keepRunning()
			w := newLogWriter(cmd.ErrOrStderr())
			defer w.flush()
			return serve(cmd.Context(), cfg, opening{log: logger(cfg.Log, w), port: modem.OpenPort})
		},
	}
}

// serve runs an office from its configuration until ctx ends.
func serve(ctx context.Context, cfg *config.Config, with opening) error {
	o, err := openOffice(cfg, with)
	if errors.Is(err, queue.ErrInUse) {
		return &exitError{code: exitFailed, err: err, hint: "is outpost serve running already? see: outpost status"}
	}
	if err != nil {
		return err
	}
	release, err := claimPID(cfg.Storage.Socket)
	if err != nil {
		return errors.Join(err, o.close())
	}
	defer release()
	d, err := o.listen(ctx)
	if err == nil {
		err = o.run(ctx, d)
	}
	return errors.Join(err, o.close())
}

// doors are the sockets that an office serves.
type doors struct {
	plain, implicit []net.Listener // for mail that is handed in
	imap, imaps     []net.Listener // for the mailboxes; implicit TLS is the latter
	control         net.Listener
}

func (d doors) all() []net.Listener { return slices.Concat(d.plain, d.implicit, d.imap, d.imaps) }

// listen opens the doors that the configuration names, all or none.
func (o *office) listen(ctx context.Context) (d doors, err error) {
	for _, door := range []struct {
		addresses []string
		opened    *[]net.Listener
		key, does string
	}{
		{o.cfg.SMTP.Listen, &d.plain, "smtp.listen", "taking mail"},
		{o.cfg.SMTP.ListenTLS, &d.implicit, "smtp.listen_tls", "taking mail"},
		{o.cfg.IMAP.Listen, &d.imap, "imap.listen", "serving mailboxes"},
		{o.cfg.IMAP.ListenTLS, &d.imaps, "imap.listen_tls", "serving mailboxes"},
	} {
		if *door.opened, err = listen(ctx, door.addresses, door.key); err != nil {
			closeAll(d.all())
			return doors{}, err
		}
		for _, l := range *door.opened {
			o.log.Info(door.does, "address", l.Addr().String())
		}
	}
	if d.control, err = control.Listen(o.cfg.Storage.Socket); err != nil {
		closeAll(d.all())
		return doors{}, fmt.Errorf("control socket: %w", err)
	}
	return d, nil
}

// listen opens the addresses of a key, all or none.
func listen(ctx context.Context, addresses []string, key string) ([]net.Listener, error) {
	var opened []net.Listener
	for _, a := range addresses {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", a)
		if err != nil {
			closeAll(opened)
			return nil, &exitError{code: exitFailed, err: fmt.Errorf("cannot listen at %s (%s): %w", a, key, err), hint: listenHint(err, key)}
		}
		opened = append(opened, l)
	}
	return opened, nil
}

func listenHint(err error, key string) string {
	if errors.Is(err, os.ErrPermission) {
		return "ports under 1024 need root or: setcap cap_net_bind_service=+ep outpost"
	}
	return "another program may be listening there; see " + key + " in the configuration"
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		_ = l.Close()
	}
}

// logger writes what the configuration asks for, one line an event.
func logger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
