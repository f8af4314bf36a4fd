package config

import (
	"reflect"
	"regexp"
	"testing"
	"time"

	"outpost/configs"
)

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
