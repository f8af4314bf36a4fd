package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"outpost/internal/config"
	"outpost/internal/control"
)

// killSteps is fewer than the durable steps that it takes to accept and deliver
// the three messages, so that each of these kills really comes.
const killSteps = 30

// The daemon is killed before each durable step in turn, while mail is handed in
// and delivered. After a restart every message that was answered 250 is there,
// once and whole; one that was not answered is there whole or not at all.
func TestKillBetweenSteps(t *testing.T) {
	for n := 1; n <= killSteps; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			k := newKilled(t)
			k.start(n)
			var acknowledged, sent [][]byte
			for i := range 3 {
				text := fmt.Appendf(nil, "From: ann@clinic.example\r\nMessage-ID: <%d.%d@test>\r\nDate: Mon, 2 Mar 2026 08:00:00 +0000\r\n\r\n%s\r\n",
					n, i, strings.Repeat("line\r\n", 200*i))
				sent = append(sent, text)
				if k.handIn(text) == nil {
					acknowledged = append(acknowledged, text)
				}
			}
			k.await("the daemon has been killed", func(context.Context) bool { return k.dead() })
			k.stop()
			k.start(0)
			k.awaitDelivery()
			k.stop()
			folder := inbox(k.cfg, "ben")
			for i, text := range acknowledged {
				if c := copies(folder, text); c != 1 {
					t.Errorf("acknowledged message %d is there %d times", i, c)
				}
			}
			for _, m := range folder {
				if !endsInOneOf(m, sent) {
					t.Errorf("a message that nobody sent: %.300q", m)
				}
			}
			if len(folder) > len(sent) {
				t.Errorf("%d messages of %d", len(folder), len(sent))
			}
		})
	}
}

func endsInOneOf(m []byte, texts [][]byte) bool {
	for _, text := range texts {
		if bytes.HasSuffix(m, text) {
			return true
		}
	}
	return false
}

// killed is a daemon in a process of its own.
type killed struct {
	t       *testing.T
	cfg     *config.Config
	path    string
	address string
	process *exec.Cmd
	exited  chan struct{}
	stderr  *bytes.Buffer
}

// ownHost is a loopback address that no other test has, where there are so many: a port is
// chosen before the daemon takes it, and on a common one somebody else might, meanwhile or
// while it is dead.
func ownHost() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	var b [3]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("127.%d.%d.%d", 1+b[0]%254, b[1], 1+b[2]%254)
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	dir, err := os.MkdirTemp("", "op")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("tcp", net.JoinHostPort(ownHost(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	k := &killed{t: t, path: filepath.Join(dir, "outpost.toml"), address: l.Addr().String()}
	_ = l.Close()
	text := fmt.Sprintf("[office]\nname = \"gw.clinic.example\"\ndomains = [\"clinic.example\"]\n[storage]\ndir = \"data\"\n"+
		"[smtp]\nlisten = [%q]\n[imap]\nlisten = []\n[[user]]\nname = \"ben\"\naddresses = [\"ben@clinic.example\"]\n", k.address)
	if err := os.WriteFile(k.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if k.cfg, err = config.Load(k.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.stop)
	return k
}

// start runs the daemon until it answers or is dead.
func (k *killed) start(dieAt int) {
	k.t.Helper()
	k.stderr = new(bytes.Buffer)
	k.process = exec.Command(os.Args[0])
	k.process.Env = append(os.Environ(), dieAtStep+"="+strconv.Itoa(dieAt), dieConfig+"="+k.path)
	k.process.Stderr = k.stderr
	if err := k.process.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.exited = make(chan struct{})
	go func() {
		defer close(k.exited)
		_ = k.process.Wait()
	}()
	client := control.NewClient(k.cfg.Storage.Socket)
	k.await("the daemon answers", func(ctx context.Context) bool {
		_, err := client.Status(ctx)
		return err == nil || k.dead()
	})
}

func (k *killed) dead() bool {
	select {
	case <-k.exited:
		return true
	default:
		return false
	}
}

// stop ends the daemon if it lives still.
func (k *killed) stop() {
	if k.process == nil {
		return
	}
	_ = k.process.Process.Kill()
	<-k.exited
	k.process = nil
}

func (k *killed) await(what string, done func(context.Context) bool) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			k.t.Fatalf("waited in vain until %s; it said:\n%s", what, k.stderr)
		}
	}
}

func (k *killed) awaitDelivery() {
	k.t.Helper()
	client := control.NewClient(k.cfg.Storage.Socket)
	k.await("everything is delivered", func(ctx context.Context) bool {
		s, err := client.Status(ctx)
		return err == nil && s.Undelivered == 0
	})
}

// handIn gives a message to the daemon; nil means that it was answered 250.
func (k *killed) handIn(text []byte) error {
	conn, err := net.DialTimeout("tcp", k.address, time.Second)
	if err != nil {
		return err
	}
	c := smtp.NewClient(conn)
	defer c.Close()
	err = c.SendMail("ann@clinic.example", []string{"ben@clinic.example"}, bytes.NewReader(text))
	if err == nil {
		return c.Quit()
	}
	var refused *smtp.SMTPError
	if errors.As(err, &refused) {
		k.t.Errorf("refused: %v", err)
	}
	return err
}
