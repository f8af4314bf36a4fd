package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

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
	plain, implicit []net.Listener
	control         net.Listener
}

// listen opens the doors that the configuration names, all or none.
func (o *office) listen(ctx context.Context) (d doors, err error) {
	if d.plain, err = listen(ctx, o.cfg.SMTP.Listen); err != nil {
		return d, err
	}
	if d.implicit, err = listen(ctx, o.cfg.SMTP.ListenTLS); err != nil {
		closeAll(d.plain)
		return d, err
	}
	if d.control, err = control.Listen(o.cfg.Storage.Socket); err != nil {
		closeAll(append(d.plain, d.implicit...))
		return d, fmt.Errorf("control socket: %w", err)
	}
	for _, l := range append(d.plain, d.implicit...) {
		o.log.Info("taking mail", "address", l.Addr().String())
	}
	return d, nil
}

func listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var opened []net.Listener
	for _, a := range addresses {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", a)
		if err != nil {
			closeAll(opened)
			return nil, &exitError{code: exitFailed, err: fmt.Errorf("cannot take mail at %s: %w", a, err), hint: listenHint(err)}
		}
		opened = append(opened, l)
	}
	return opened, nil
}

func listenHint(err error) string {
	if errors.Is(err, os.ErrPermission) {
		return "ports under 1024 need root or: setcap cap_net_bind_service=+ep outpost"
	}
	return "another program may be listening there; see smtp.listen in the configuration"
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
