package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"outpost/configs"
)

const minimal = `
[office]
name = "gw.clinic.example"
domains = ["clinic.example"]
`

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse(filepath.Join(t.TempDir(), "outpost.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func faultsOf(t *testing.T, text string) string {
	t.Helper()
	_, err := Parse("outpost.toml", []byte(text))
	var faults *Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error is %v, want faults, of:\n%s", err, text)
	}
	return faults.Error()
}

func TestDefaults(t *testing.T) {
	c := parse(t, minimal+`
[smarthost]
host = "smtp.example"
tls = "starttls"
[[box]]
host = "pop.example"
user = "ann"
password = "x"
deliver_to = ["ann"]
[[user]]
name = "ann"
[[line]]
port = "/dev/ttyS0"
number = "1"
rate_bps = 2400
`)
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"smarthost port", c.Smarthost.Port, 587},
		{"hello", c.Smarthost.Hello, "gw.clinic.example"},
		{"box port", c.Boxes[0].Port, 995},
		{"box name", c.Boxes[0].Name, "ann"},
		{"box patience", c.Boxes[0].Patience(), 90 * time.Second},
		{"listen", c.SMTP.Listen, []string{"127.0.0.1:2525"}},
		{"log level", c.Log.Level, "info"},
	} {
		if !reflect.DeepEqual(check.got, check.want) {
			t.Errorf("%s is %v, want %v", check.what, check.got, check.want)
		}
	}
}

// A file with many things wrong names them all, each with its key.
func TestAllFaultsAtOnce(t *testing.T) {
	got := faultsOf(t, `
[office]
name = "two words"
domains = ["clinic.example"]
colour = "red"
postmaster = "zoe"
[smtp]
listen = ["nowhere"]
max_recipients = "many"
max_message_bytes = "huge"
trusted_networks = ["192.168.1.7/99"]
[[user]]
name = "../etc"
[[user]]
name = "ann"
addresses = ["ann@provider.example", "ann"]
password = "not a hash"
[smarthost]
host = "smtp.example"
tls = "none"
user = "u"
password = "geheim"
[[box]]
host = "pop.example"
user = "ann"
password = "geheim"
deliver_to = ["nobody"]
leave_days = -1
[[line]]
modem = "teapot"
number = ""
max_call_minutes = -3
[line.tariff]
per_minute = "cheap"
[schedule]
calls = ["0 6 * *"]
time_zone = "Mars/Base"
[log]
level = "loud"
`)
	for _, want := range []string{
		"office.name", "colour", `office.postmaster = zoe`, `smtp.listen = "nowhere"`, "max_recipients", "max_message_bytes",
		"192.168.1.7/99", "../etc", `user "ann".addresses = "ann"`, `user "ann".password`, "smarthost.tls", "deliver_to = nobody",
		"leave_days", "teapot", "bgan, courier, generic, gsm, gsm-csd, iridium, thuraya", ".number", ".port", "max_call_minutes", "per_minute",
		`"0 6 * *"`, "Mars/Base", "log.level",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no fault names %s in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "geheim") || strings.Contains(got, "not a hash") {
		t.Errorf("a secret stands in the faults:\n%s", got)
	}
}

// Values that would overflow, fail in every paid call, or lose mail are found
// before there is a call.
func TestSlips(t *testing.T) {
	line := "[[line]]\nport = \"/dev/ttyS0\"\nnumber = \"1\"\n"
	box := "[[box]]\nhost = \"pop.example\"\nuser = \"ann\"\npassword = \"x\"\ndeliver_to = [\"ann\"]\n"
	for _, c := range []struct{ text, fault string }{
		{minimal + line + "max_call_minutes = 200000000\n", "max_call_minutes = 200000000"},
		{minimal + line + "[line.tariff]\nunit_seconds = 9300000000\n", "unit_seconds"},
		{minimal + line + "flow_control = \"maybe\"\n", `flow_control = "maybe"`},
		{minimal + strings.Replace(line, "/dev/ttyS0", "usb:12d1", 1), `port = "usb:12d1"`},
		{minimal + line + "[smarthost]\nhost = \"h\"\nhello = \"my office\"\n", `smarthost.hello = "my office"`},
		{"[office]\nname = \"Büro\"\ndomains = [\"clinic.example\"]\n", "office.name"},
		{minimal + line + "[smarthost]\nhost = \"h\"\nca_file = \"absent.pem\"\n", "smarthost.ca_file"},
		{minimal + "[smtp]\ncert_file = \"absent.pem\"\nkey_file = \"absent.key\"\n", "smtp.key_file"},
		{minimal + line + "[smarthost]\nhost = \"2001:db8::1\"\n", "IPv4 only"},
		{minimal + line + "[[user]]\nname = \"ann\"\n" + box + "name = \"a\"\n" + box + "name = \"b\"\n", `same account as box "a"`},
		{minimal + "[smarthost]\nhost = \"h\"\n", "no [[line]]"},
		{minimal + "[smtp]\nlisten = []\n", "smtp.listen"},
		{minimal + "[storage]\nsocket = \"/" + strings.Repeat("s", 110) + "\"\n", "storage.socket"},
		{minimal + line + "[schedule]\ncalls = [\"@every 5m\"]\n", "@every 5m"},
	} {
		if got := faultsOf(t, c.text); !strings.Contains(got, c.fault) {
			t.Errorf("no fault names %s in:\n%s", c.fault, got)
		}
	}
}

// A key of another kind of line is a slip, and each kind's own keys are checked.
func TestLineKinds(t *testing.T) {
	net := minimal + "[[line]]\nkind = \"net\"\n"
	pppd := minimal + "[[line]]\nkind = \"pppd\"\nport = \"/dev/ttyS0\"\nnumber = \"1\"\n"
	for _, c := range []struct{ text, fault string }{
		{minimal + "[[line]]\nkind = \"teapot\"\n", `kind = "teapot": must be modem, pppd, net`},
		{net + "number = \"1\"\n", `line "net".number: has no meaning on a line of kind net, only on modem and pppd`},
		{net + "baud = 9600\n", ".baud: has no meaning"},
		{net + "default_route = true\n", ".default_route: has no meaning"},
		{net + "password = \"geheim\"\n", ".password: has no meaning"},
		{pppd + "up_command = [\"true\"]\n", ".up_command: has no meaning on a line of kind pppd, only on net"},
		{minimal + "[[line]]\nport = \"/dev/ttyS0\"\nnumber = \"1\"\nguard = true\n", ".guard: has no meaning on a line of kind modem"},
		{net + "up_command = [\"true\"]\n", ".down_command"},
		{net + "down_command = [\"\", \"x\"]\n", ".down_command: must be a program"},
		{net + "interface = \"eth1/0\"\n", `.interface = "eth1/0"`},
		{net + "guard = true\n", ".guard: needs an interface"},
		{net + "dns = [\"ns.example\"]\n", `.dns = "ns.example"`},
		{net + "command_seconds = -1\n", ".command_seconds"},
		{net + "address_seconds = 100000000\n", ".address_seconds"},
		{pppd + "unit = -2\n", ".unit"},
		{pppd + "pppd_options = [\"\"]\n", ".pppd_options"},
		{minimal + "[[line]]\nkind = \"pppd\"\n", ".port: name the serial port"},
	} {
		got := faultsOf(t, c.text)
		if !strings.Contains(got, c.fault) || strings.Contains(got, "geheim") {
			t.Errorf("no fault says %s in:\n%s", c.fault, got)
		}
	}
	l := parse(t, net).Lines[0]
	if l.CommandLimit() != time.Minute || l.AddressLimit() != time.Minute || l.Baud != 0 || l.Modem != "" || l.Name != "net" {
		t.Errorf("defaults %+v", l)
	}
}

func TestSyntaxErrorSaysWhere(t *testing.T) {
	if got := faultsOf(t, "[office]\nname = \n"); !strings.Contains(got, "line 2") {
		t.Errorf("fault does not name line 2: %s", got)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := minimal + "[smarthost]\nhost = \"h\"\nuser = \"u\"\npassword_file = \"pw\"\n[[line]]\nport = \"/dev/ttyS0\"\nnumber = \"1\"\n"
	c, err := Parse(filepath.Join(dir, "outpost.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.Smarthost.Password != "s3cret" {
		t.Errorf("password is %q", c.Smarthost.Password)
	}
	if got := faultsOf(t, strings.Replace(text, `"pw"`, `"absent"`, 1)); !strings.Contains(got, "password_file") {
		t.Errorf("an absent file is not named: %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(configs.Sample))
	f.Add(minimal)
	f.Add("[smtp]\nlisten = 3\n")
	f.Fuzz(func(t *testing.T, text string) {
		// Only a text that cannot name a file of this machine is tried.
		if strings.Contains(text, "_file") || strings.Contains(text, "modem") {
			return
		}
		c, err := Parse("outpost.toml", []byte(text))
		if (c == nil) == (err == nil) {
			t.Errorf("config %v with error %v", c, err)
		}
	})
}
