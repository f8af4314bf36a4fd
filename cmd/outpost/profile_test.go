package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/configs"
	"outpost/internal/config"
	"outpost/internal/isp"
	"outpost/modem"
	"outpost/modem/modemtest"
)

// devices are what the profiles that come with Outpost are for: the device, what the line
// says, what the modem is told besides the Hayes commands, and what a dial must then bring.
func devices() map[string]struct {
	device  modemtest.Options
	line    string
	told    []string
	connect string
} {
	packet := func(o modemtest.Options) modemtest.Options {
		o.APN, o.SIM.PIN = "data.operator.example", "4321"
		return o
	}
	plain := modemtest.Options{Echo: true, Down: 33600}
	const mobile = "apn = \"data.operator.example\"\npin = \"4321\"\nroaming = false\n"
	return map[string]struct {
		device  modemtest.Options
		line    string
		told    []string
		connect string
	}{
		"generic": {plain, "number = \"0,5551234\"\ncountry = \"b4\"\nvolume = \"low\"\n", []string{"&F", "+GCI=B4", "L1M1"}, "CONNECT 33600"},
		"courier": {modemtest.Courier(), "number = \"5551234\"\nvolume = \"off\"\n", []string{"&F1", "&B1&A0", "L0M0"}, "CONNECT 33600"},
		"gsm": {packet(modemtest.GSM()), "number = \"*99***{cid}#\"\ncid = 3\n" + mobile,
			[]string{`+CPIN="4321"`, `+CGDCONT=3,"IP","data.operator.example"`, "+CEREG?", "+CSQ", "+COPS?"}, "CONNECT 21600000"},
		"gsm-csd": {modemtest.GSMCSD(), "number = \"+4912345\"\n", []string{"+CBST=7,0,1", "+CREG?"}, "CONNECT 9600/RLP"},
		"iridium": {modemtest.Iridium(), "number = \"008816000025\"\nminimum_signal = 2\n", []string{"+CBST=71,0,1", "+CR=1", "+CREG?", "+CSQF"}, "CONNECT 19200"},
		"thuraya": {modemtest.Thuraya(), "number = \"1722\"\n", []string{"+CBST=7,0,1", "+CREG?"}, "CONNECT 9600/RLP"},
		"bgan":    {packet(modemtest.BGAN()), "number = \"*99***{cid}#\"\n" + mobile, []string{`+CGDCONT=1,"IP","data.operator.example"`, "+CGREG?"}, "CONNECT 21600000"},
	}
}

// lineOf reads a configuration with one line of a profile.
func lineOf(t *testing.T, name, keys string) (*office, config.Line, modem.Profile) {
	t.Helper()
	cfg, err := config.Parse("outpost.toml", []byte("[office]\nname = \"gw\"\ndomains = [\"clinic.example\"]\n[storage]\ndir = \""+t.TempDir()+
		"\"\n[[line]]\nport = \"x\"\nmodem = \""+name+"\"\n"+keys))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{cfg: cfg}
	l := cfg.Lines[0]
	p := profileOf(cfg.Modem(l))
	mobile(o.cfg, l, &p)
	return o, l, p
}

// Every profile that comes with Outpost gets a device of its kind to dial.
func TestProfilesDial(t *testing.T) {
	all := devices()
	for _, name := range configs.ModemNames() {
		d, ok := all[name]
		if !ok {
			t.Errorf("there is no device for %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			o, l, p := lineOf(t, name, d.line)
			synctest.Test(t, func(t *testing.T) {
				device := modemtest.New(d.device)
				defer device.Close()
				m := modem.New(device.Port(), p, modem.Options{Secrets: secretsOf(o.cfg.Modem(l), l)})
				defer m.Close()
				if err := m.Init(t.Context()); err != nil {
					t.Fatalf("%v\n%s", err, m.Transcript())
				}
				c, err := m.Dial(t.Context(), l.Dialled()[0])
				if err != nil {
					t.Fatalf("%v\n%s", err, m.Transcript())
				}
				if c.Connect() != d.connect {
					t.Errorf("connected with %q", c.Connect())
				}
				if err := m.Hangup(t.Context()); err != nil {
					t.Error(err)
				}
				for _, cmd := range d.told {
					if !slices.Contains(device.Counters().Commands, cmd) {
						t.Errorf("the modem was not told %s: %q", cmd, device.Counters().Commands)
					}
				}
				if strings.Contains(m.Transcript(), "4321") || strings.Contains(m.Transcript(), "{") {
					t.Errorf("the PIN, or a placeholder, shows:\n%s", m.Transcript())
				}
			})
		})
	}
}

// A step that is refused is named, with advice, unless it is optional.
func TestProfileStepsRefused(t *testing.T) {
	for name, d := range devices() {
		_, _, p := lineOf(t, name, d.line)
		for _, s := range append(slices.Clone(p.Init), p.Network.Attach...) {
			body := strings.TrimPrefix(s.Send, "AT")
			if strings.HasPrefix(body, "Z") {
				continue // without it the modem is not one
			}
			t.Run(name+" "+s.Send, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					device := modemtest.New(d.device)
					defer device.Close()
					m := modem.New(device.Port(), p, modem.Options{})
					defer m.Close()
					time.Sleep(time.Minute) // a stick that is up
					device.Set(func(o *modemtest.Options) { o.RefuseLine = body })
					err := m.Init(t.Context())
					var ce *modem.CommandError
					switch {
					case s.Optional && err != nil:
						t.Errorf("an optional step ends it: %v", err)
					case !s.Optional && (!errors.As(err, &ce) || ce.Command != s.Send || ce.Advice() == ""):
						t.Errorf("%v", err)
					}
				})
			})
		}
	}
}

// What a line says that its modem has no use for is a fault, not a surprise.
func TestLineNeedsTheProfile(t *testing.T) {
	for keys, fault := range map[string]string{
		"modem = \"courier\"\napn = \"internet\"": "line 1.apn: the modem profile courier has no use for it",
		"pin = \"1234\"":                                       "generic has no use",
		"modem = \"bgan\"\nminimum_signal = 3":                 "minimum_signal",
		"roaming = false":                                      "roaming",
		"modem = \"gsm\"\ncountry = \"B5\"":                    "country",
		"modem = \"gsm\"\nvolume = \"low\"":                    "volume",
		"volume = \"loud\"":                                    "off, low, medium, high",
		"country = \"Kenya\"":                                  "hexadecimal",
		"modem = \"gsm\"\napn = \"a\\\",\\\"b\"":               "access point name",
		"modem = \"gsm\"\npin = \"12a4\"":                      "4 to 8 digits",
		"modem = \"gsm\"\ncid = 17":                            "1 to 16",
		"modem = \"gsm\"\npdp_type = \"X25\"":                  "IP, IPV4V6",
		"numbers = [\"5;\"]":                                   "semicolon",
		"numbers = [\"{apn}\"]":                                "{cid}",
		"login_abort = [\"no\"]":                               "goes with",
		"[[line.login]]\nsecret = true":                        "needs expect, send or both",
		"[[line.login]]\nsend = \"{password}\"":                "the line has none",
		"[[line.login]]\nsend = \"{pin}\"":                     "must be {user}, {password}",
		"[[line.login]]\nexpect = \"x\"\ntimeout_seconds = -1": "timeout_seconds",
	} {
		_, err := config.Parse("outpost.toml", []byte("[office]\nname = \"gw\"\ndomains = [\"clinic.example\"]\n[[line]]\nport = \"x\"\nnumber = \"1\"\n"+keys+"\n"))
		if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(fault, "line 1")) {
			t.Errorf("%s: no fault says %q: %v", keys, fault, err)
		}
		if err != nil && strings.Contains(err.Error(), "12a4") {
			t.Error("a PIN shows in a fault")
		}
	}
}

func TestRawCountryCommand(t *testing.T) {
	_, _, p := lineOf(t, "generic", "number = \"1\"\ncountry = \"AT*NC70\"\n")
	if !slices.ContainsFunc(p.Init, func(s modem.Step) bool { return s.Send == "AT*NC70" }) {
		t.Errorf("%+v", p.Init)
	}
	_, _, p = lineOf(t, "generic", "number = \"1\"\n")
	if slices.ContainsFunc(p.Init, func(s modem.Step) bool { return strings.ContainsAny(s.Send, "{}") || strings.Contains(s.Send, "GCI") }) {
		t.Errorf("%+v", p.Init)
	}
}

// A provider with a log-in in text, and a first number that is busy: the call is made, and
// the ledger has the number that answered and the whole dialogue, the password masked.
func TestLedgerKeepsTheDialogue(t *testing.T) {
	r := newRig(t, isp.Options{TLS: isp.TLSNone, Boxes: map[string]isp.Box{"ann": {Password: demoPassword}, "ben": {Password: demoPassword}}},
		modemtest.Options{ByNumber: map[string]string{"5551234": "BUSY", "5550000": "NO CARRIER"}},
		modemtest.Login{User: "clinic", Password: demoPassword, Echo: true, EchoPassword: true})
	text := r.configuration(isp.TLSNone, "number = \"5551234\"\n", "number = \"5551234\"\nnumbers = [\"5559876\"]\n",
		"[line.tariff]", "[[line.login]]\nexpect = \"ogin:\"\nsend = \"{user}\"\n[[line.login]]\nexpect = \"word:\"\nsend = \"{password}\"\n"+
			"[[line.login]]\nexpect = \"PPP\"\n[line.tariff]")
	r.open(text)
	row, err := r.call()
	if err != nil {
		t.Fatalf("%v\n%s", err, row.Transcript)
	}
	stored, err := r.office.queue.Calls(1)
	if err != nil || len(stored) != 1 {
		t.Fatal(stored, err)
	}
	for _, said := range []string{"> ATDT5551234\n< BUSY\n", "> ATDT5559876\n", "< login:\n> clinic\n", "< Password:\n> ***\n"} {
		if !strings.Contains(stored[0].Transcript, said) {
			t.Errorf("the transcript lacks %q:\n%s", said, stored[0].Transcript)
		}
	}
	if stored[0].Number != "5559876" || strings.Contains(stored[0].Transcript, demoPassword) {
		t.Errorf("number %s, transcript:\n%s", stored[0].Number, stored[0].Transcript)
	}
	r.close()

	// And of a call that fails.
	r.open(strings.Replace(text, "5559876", "5550000", 1))
	if row, err = r.call(); err == nil || !strings.Contains(row.Transcript, "< NO CARRIER\n") || !strings.Contains(row.Error, "5550000") {
		t.Errorf("%v: %s\n%s", err, row.Error, row.Transcript)
	}
}
