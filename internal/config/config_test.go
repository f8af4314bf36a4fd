package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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

func TestSampleIsLoaded(t *testing.T) {
	c := parse(t, string(configs.Sample))
	if len(c.Users) != 2 || len(c.Boxes) != 2 || len(c.Lines) != 1 || c.Smarthost == nil {
		t.Errorf("the sample lost a part: %d users, %d boxes, %d lines", len(c.Users), len(c.Boxes), len(c.Lines))
	}
	if got := c.Lines[0].MaxCall(); got != time.Hour {
		t.Errorf("max call is %v", got)
	}
	if m := c.Modem(c.Lines[0]); m.DialPrefix != "ATDT" {
		t.Errorf("the line's modem profile was not loaded: %+v", m)
	}
}

// exampled is the sample with its examples switched on.
func exampled() string {
	return regexp.MustCompile(`(?m)^##`).ReplaceAllString(string(configs.Sample), "")
}

// The examples of lines of the other kinds load when they are switched on.
func TestSampleHasEveryKind(t *testing.T) {
	kinds := make(map[string]Line)
	for _, l := range parse(t, exampled()).Lines {
		kinds[l.Kind] = l
	}
	if len(kinds) != 3 || len(kinds[KindNet].UpCommand) == 0 || kinds[KindPPPD].Unit != 87 || kinds[KindModem].Port == "" {
		t.Errorf("kinds %+v", kinds)
	}
	if c := parse(t, exampled()); c.Modem(c.Lines[2]).Name == "" {
		t.Error("a pppd line has no modem profile")
	}
	if got := kinds[KindNet].NameServers(); len(got) != 2 {
		t.Errorf("name servers %v", got)
	}
}

// optional matches a key that the sample shows with its default.
var optional = regexp.MustCompile(`(?m)^#(\w+ = .*)$`)

// Each optional key that the sample shows must load, and say the default that
// really holds: loading it must change nothing.
func TestSampleShowsTheDefaults(t *testing.T) {
	text := exampled()
	shown := optional.FindAllString(text, -1)
	if len(shown) < 15 {
		t.Fatalf("found only %d optional keys", len(shown))
	}
	// These name a file or stand for "the other of two keys"; they cannot be
	// switched on together with the rest.
	skip := regexp.MustCompile(`^#(ca_file|password_file|pin_file|cert_file|key_file|socket|users_file|allow_plain_password) `)
	all := optional.ReplaceAllStringFunc(text, func(line string) string {
		if skip.MatchString(line) {
			return line
		}
		return line[1:]
	})
	// One file, once with the keys and once without.
	want, err := Parse("outpost.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("outpost.toml", []byte(all))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.SMTP.ListenTLS) == 0 {
		got.SMTP.ListenTLS = nil // an empty list and none mean the same
	}
	if len(got.IMAP.ListenTLS) == 0 {
		got.IMAP.ListenTLS = nil
	}
	for i := range got.Boxes {
		if b := &got.Boxes[i]; len(b.TokenCommand) == 0 {
			b.TokenCommand = nil
		}
	}
	for i := range got.Lines {
		if l := &got.Lines[i]; len(l.Numbers)+len(l.LoginAbort) == 0 {
			l.Numbers, l.LoginAbort = nil, nil
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("switching on the shown defaults changes the configuration:\n got %+v\nwant %+v", got, want)
	}
}

// Every key of the structs stands in the sample's text.
func TestSampleIsComplete(t *testing.T) {
	text := exampled()
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for f := range typ.Fields() {
			key, ok := f.Tag.Lookup("toml")
			if ok && key != "-" && !regexp.MustCompile(`(?m)(^#?\s*`+key+` = |\[`+key+`\]|\.`+key+`\])`).MatchString(text) {
				t.Errorf("configs/outpost.toml does not show %s.%s", typ.Name(), key)
			}
			if f.IsExported() {
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[Config]())
}

// The generic profile is the manual of a profile: every key stands there, and what it
// shows as a default is one.
func TestGenericShowsEveryKey(t *testing.T) {
	text, err := configs.Modems.ReadFile("modems/generic.toml")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		if typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for f := range typ.Fields() {
			key := f.Tag.Get("toml")
			if !regexp.MustCompile(`(?m)(^#?` + key + ` = |\[` + key + `\])`).Match(text) {
				t.Errorf("generic.toml does not show %s.%s", typ.Name(), key)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[Modem]())
	var want, got Modem
	faults := &Faults{}
	decode(text, &want, "", faults)
	// What stands behind these in the file is not their default, but how one looks.
	skip := regexp.MustCompile(`^#(x_level|attach|numeric_codes) `)
	decode(optional.ReplaceAllFunc(text, func(line []byte) []byte {
		if skip.Match(line) {
			return line
		}
		return line[1:]
	}), &got, "", faults)
	got.check("generic", faults)
	if err := faults.orNil(); err != nil {
		t.Fatal(err)
	}
	profile := func(m Modem) Modem { // what the modem package makes of a zero
		or(&m.CommandTimeoutSeconds, 3)
		or(&m.AbortTimeoutSeconds, 3)
		or(&m.DTRTimeoutMS, 2000)
		or(&m.DTRPulseMS, 500)
		or(&m.GuardTimeMS, 1200)
		or(&m.EscapeChar, "+")
		or(&m.Network.WaitSeconds, 60)
		if m.Hangup == nil {
			m.Hangup = []string{HangupDTR, HangupEscape}
		}
		if len(m.Network.Registration) == 0 {
			m.Network.Registration = nil
		}
		return m
	}
	if got, want := profile(got), profile(want); !reflect.DeepEqual(got, want) {
		t.Errorf("switching on the shown defaults changes the profile:\n got %+v\nwant %+v", got, want)
	}
}

func TestEveryProfileIsGood(t *testing.T) {
	names := configs.ModemNames()
	if len(names) < 4 {
		t.Fatalf("only %v", names)
	}
	for _, name := range names {
		c := parse(t, minimal+"[[line]]\nport = \"/dev/null\"\nnumber = \"1\"\nmodem = \""+name+"\"\n")
		if m := c.Modem(c.Lines[0]); m.Name == "" || len(m.Init) == 0 {
			t.Errorf("%s: %+v", name, m)
		}
	}
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
