package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"outpost/internal/config"
	"outpost/modem"
)

// A line's port is opened as the configuration has it, what is wrong with it gets
// into the log, and PPP keeps clear of what flow control takes.
func TestPortOfLine(t *testing.T) {
	for flow, want := range map[string]uint32{"": 0, "none": 0, "rtscts": 0, "xonxoff": 0x000A0000} {
		text := "[office]\nname = \"gw.clinic.example\"\ndomains = [\"clinic.example\"]\n[[line]]\nport = \"usb:12d1:1001\"\nbaud = 19200\nnumber = \"1\"\n"
		if flow != "" {
			text += "flow_control = \"" + flow + "\"\n"
		} else {
			flow = "rtscts"
		}
		cfg, err := config.Parse("outpost.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		opt := portOptions(cfg.Lines[0], slog.New(slog.NewTextHandler(&log, nil)))
		if opt.Name != "usb:12d1:1001" || opt.Baud != 19200 || opt.Flow != modem.Flow(flow) || opt.LockDirs != nil {
			t.Errorf("%+v", opt)
		}
		if got := accm(cfg.Lines[0]); got != want {
			t.Errorf("%s: ACCM %08x", flow, got)
		}
		opt.Note("no CTS")
		if !strings.Contains(log.String(), `line=modem port=usb:12d1:1001 note="no CTS"`) {
			t.Errorf("logged: %s", &log)
		}
	}
}

// Packets are compressed only where nothing is encrypted: what is grows by it.
func TestPlain(t *testing.T) {
	const office = "[office]\nname = \"gw.clinic.example\"\ndomains = [\"clinic.example\"]\n[[user]]\nname = \"ann\"\n" +
		"[[line]]\nport = \"/dev/ttyUSB0\"\nnumber = \"1\"\n"
	smarthost := func(tls string) string {
		return "[smarthost]\nhost = \"smtp.provider.example\"\ntls = \"" + tls + "\"\n"
	}
	box := func(tls string) string {
		return "[[box]]\nhost = \"pop.provider.example\"\nuser = \"ann\"\npassword = \"x\"\nallow_plain_password = true\ndeliver_to = [\"ann\"]\ntls = \"" + tls + "\"\n"
	}
	for text, want := range map[string]bool{
		"": true, smarthost("none"): true, smarthost("implicit"): false,
		smarthost("none") + box("none"): true, smarthost("none") + box("starttls"): false, box("implicit"): false,
	} {
		cfg, err := config.Parse("outpost.toml", []byte(office+text))
		if err != nil {
			t.Fatal(err)
		}
		if got := modemConfig(cfg, cfg.Lines[0], nil, slog.New(slog.DiscardHandler)).PPP.Compress; got != want {
			t.Errorf("%q: compressed %v", text, got)
		}
	}
}
