package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.bug.st/serial"

	"outpost/internal/config"
	"outpost/modem"
)

// Environment variables by which a test runs this binary as the program.
const (
	asProgram = "OUTPOST_TEST_RUN"  // run the command line
	dieAtStep = "OUTPOST_TEST_DIE"  // serve, and kill -9 oneself before this durable step
	dieConfig = "OUTPOST_TEST_CONF" // its configuration
)

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(dieAtStep)); err == nil {
		os.Exit(serveAndDie(os.Getenv(dieConfig), n))
	}
	if os.Getenv(asProgram) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"outpost": main})
}

// serveAndDie is serve with a kill before the nth durable step; 0 is none.
func serveAndDie(path string, n int) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load(path)
	if err != nil {
		return exitUsage
	}
	var steps atomic.Int64
	err = serve(ctx, cfg, opening{
		log:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
		port: func(modem.PortOptions) (serial.Port, error) { return nil, errors.New("there is no modem in this test") },
		step: func(string) error {
			if steps.Add(1) == int64(n) {
				self, err := os.FindProcess(os.Getpid())
				if err == nil {
					_ = self.Kill()
				}
				select {} // the kill is on its way; nothing more may happen
			}
			return nil
		},
	})
	if err != nil {
		return exitFailed
	}
	return exitOK
}

// Command-line stories, each with what a user sees.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			sample, err := os.ReadFile(filepath.Join("..", "..", "configs", "outpost.toml"))
			if err != nil {
				return err
			}
			text := strings.Replace(string(sample), `dir = "/var/lib/outpost"`, `dir = "data"`, 1)
			return os.WriteFile(filepath.Join(env.WorkDir, "outpost.toml"), []byte(text), 0o600)
		},
	})
}
