package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"outpost/configs"
	"outpost/internal/config"
	"outpost/modem"
	"outpost/modem/modemtest"
)

// plugged is a modem on a pseudo-terminal, which is its name.
func plugged(t *testing.T, opt modemtest.Options) (*modemtest.Modem, string) {
	t.Helper()
	device := modemtest.New(opt)
	t.Cleanup(func() { device.Close() })
	name, err := device.PTY()
	if err != nil {
		t.Fatal(err)
	}
	return device, name
}

// command runs a command line in this process.
func command(t *testing.T, in string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, bad bytes.Buffer
	code = run(t.Context(), args, stdio{strings.NewReader(in), &out, &bad})
	return code, out.String(), bad.String()
}

// lockPath is where the system's lock of a pseudo-terminal is.
func lockPath(t *testing.T, port string) string {
	t.Helper()
	if _, err := os.Stat("/run/lock"); err != nil {
		t.Skip(err)
	}
	return "/run/lock/LCK..pts_" + filepath.Base(port)
}

func TestModemProbe(t *testing.T) {
	device, port := plugged(t, modemtest.Options{Echo: true})
	code, out, bad := command(t, "", "modem", "probe", "--port", port)
	if code != exitOK {
		t.Fatalf("%d: %s%s", code, out, bad)
	}
	expect(t, out, `modem: +Outpost.*, at 115200 bit/s`, `profile: +generic`, `(?m)^port = "`+port+`"$`, `number = "" # the provider's number`, `note: +no flow control: the port has no CTS`)
	if c := device.Counters(); c.Dials > 0 || c.OffHook {
		t.Errorf("a probe dialled: %+v", c)
	}
	if _, err := os.Stat(lockPath(t, port)); err == nil {
		t.Error("the port stays locked")
	}
	code, out, bad = command(t, "", "modem", "probe", "--port", port, "--json", "--baud", "9600")
	var got []probed
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK || len(got) != 1 {
		t.Fatalf("%d, %v: %s%s", code, err, out, bad)
	}
	if m := got[0].Modem; m == nil || m.Baud != 9600 || m.Maker != "Outpost" || got[0].Config == "" {
		t.Errorf("%+v", got[0])
	}
}

// A port that another program has locked is left alone, and the program is named; the
// daemon by what it is. The one here only has its name.
func TestModemPortInUse(t *testing.T) {
	device, port := plugged(t, modemtest.Options{})
	lock := lockPath(t, port)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(filepath.Join(t.TempDir(), daemonName), "passwd") // waits for its input
	other.Env = append(os.Environ(), asProgram+"=1")
	input, err := other.StdinPipe()
	if err == nil {
		err = os.Symlink(self, other.Path)
	}
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer input.Close()
	if err := os.WriteFile(lock, fmt.Appendf(nil, "%10d\n", other.Process.Pid), 0o644); err != nil {
		t.Skip(err)
	}
	defer os.Remove(lock)
	user := fmt.Sprintf(`in use by outpost \(process %d\), lock file %s`, other.Process.Pid, lock)
	code, out, bad := command(t, "", "modem", "probe", "--port", port)
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	expect(t, out, user)
	expect(t, bad, `error: no modem was found`, `hint: that is the daemon`)
	code, _, bad = command(t, "AT\n", "modem", "terminal", port)
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	expect(t, bad, user)
	if c := device.Counters().Commands; len(c) > 0 {
		t.Errorf("the modem was told %q", c)
	}
}

// What probe prints is a configuration; where only the user knows the number, check
// asks for it.
func TestLineForConfiguration(t *testing.T) {
	port := modem.PortInfo{Name: "/dev/ttyUSB1", USB: &modem.USBDevice{Vendor: 0x12d1, Product: 0x1001, Interface: 0}}
	office := "[office]\nname = \"gw.clinic.example\"\ndomains = [\"clinic.example\"]\n"
	for _, profile := range configs.ModemNames() {
		text := office
		for nth := range 2 {
			text += lineFor(port, modem.Found{Identity: modem.Identity{Maker: "A\nB", Profile: profile}, Baud: 19200}, nth+1)
		}
		cfg, err := config.Parse("outpost.toml", []byte(text))
		var faults *config.Faults
		if errors.As(err, &faults) && strings.Contains(text, `number = "" #`) {
			if len(faults.List) != 2 || !strings.HasSuffix(faults.List[0].Where, ".number") {
				t.Errorf("%s: %v", profile, faults)
			}
			cfg, err = config.Parse("outpost.toml", []byte(strings.ReplaceAll(text, `number = ""`, `number = "1"`)))
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", profile, err, text)
			continue
		}
		if l := cfg.Lines[1]; l.Port != "usb:12d1:1001:if=00" || l.Baud != 19200 || l.Modem != profile || l.Name != profile+"-2" {
			t.Errorf("%+v", l)
		}
	}
}

// A pipe's lines, with the line known by its name in the configuration.
func TestModemTerminalPipe(t *testing.T) {
	device, port := plugged(t, modemtest.Options{Echo: true})
	path := filepath.Join(t.TempDir(), "outpost.toml")
	text := strings.Replace(string(configs.Sample), `"/dev/ttyUSB0"`, strconv.Quote(port), 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, bad := command(t, "ATE0\nATI\n", "modem", "terminal", "landline", "--config", path)
	if code != exitOK || !strings.Contains(out, "\r\nOutpost test modem 33600\r\n\r\nOK\r\n") {
		t.Errorf("%d: %q\n%s", code, out, bad)
	}
	expect(t, bad, `not metered`, `hanging up`)
	if device.Counters().OffHook {
		t.Error("the line is open")
	}
}

// A person dials by hand, leaves with Ctrl-], and the line comes down.
func TestModemTerminalByHand(t *testing.T) {
	device, port := plugged(t, modemtest.Options{Echo: true, ConnectLine: "CONNECT 33600"})
	dir := t.TempDir()
	profile := "name = \"quick\"\nguard_time_ms = 150\ncommand_timeout_seconds = 1\n[[init]]\nsend = \"ATZ\"\n"
	text := strings.Replace(string(configs.Sample), `"/dev/ttyUSB0"`, strconv.Quote(port)+"\nmodem = \"quick.toml\"", 1)
	for name, text := range map[string]string{"quick.toml": profile, "outpost.toml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keyboard, screen, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer keyboard.Close()
	defer screen.Close()
	// Raw from the start, so that no key is changed by a terminal that isn't raw yet.
	if _, err := term.MakeRaw(int(screen.Fd())); err != nil {
		t.Fatal(err)
	}
	shown := make(chan []byte)
	go func() {
		defer close(shown)
		for {
			buf := make([]byte, 256)
			n, err := keyboard.Read(buf)
			if err != nil {
				return
			}
			shown <- buf[:n]
		}
	}()
	var bad bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), []string{"modem", "terminal", "landline", "--config", filepath.Join(dir, "outpost.toml")}, stdio{screen, screen, &bad})
	}()
	shows := func(want string) {
		t.Helper()
		limit := time.After(20 * time.Second)
		for text := ""; !strings.Contains(text, want); {
			select {
			case piece := <-shown:
				text += string(piece)
			case code := <-done:
				t.Fatalf("it ended with %d: %s", code, &bad)
			case <-limit:
				t.Fatalf("the screen shows %q instead of %q", text, want)
			}
		}
	}
	keyboard.Write([]byte("ATS12=5\r"))
	shows("OK")
	keyboard.Write([]byte("ATDT5551234\r"))
	shows("CONNECT 33600")
	if !device.Counters().OffHook {
		t.Error("nothing was dialled")
	}
	keyboard.Write([]byte("good day\x1d"))
	if code := <-done; code != exitOK {
		t.Errorf("exit %d: %s", code, &bad)
	}
	if c := device.Counters(); c.OffHook || c.Hangups != 1 {
		t.Errorf("the line is open: %+v\n%s", c, &bad)
	}
}
