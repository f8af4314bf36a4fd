package modem

import (
	"errors"
	"strings"
	"testing"
)

func TestUSBName(t *testing.T) {
	for name, want := range map[string]usbName{
		"usb:12d1:1001":                       {0x12d1, 0x1001, "", -1},
		"usb:12D1:1001:if=00":                 {0x12d1, 0x1001, "", 0},
		"usb:0403:6001:serial=A6008isP":       {0x0403, 0x6001, "A6008isP", -1},
		"usb:0403:6001:serial=00:1a:if=0a":    {0x0403, 0x6001, "00:1a", 10},
		"usb:0403:6001:serial=a:if=b:if=1":    {0x0403, 0x6001, "a:if=b", 1},
		"usb:05c6:9215:serial=0123 456:if=02": {0x05c6, 0x9215, "0123 456", 2},
	} {
		got, err := parseUSBName(name)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{
		"usb:", "usb:12d1", "usb:12d1:", "usb:12d1:100", "usb:12d1:10011", "usb:12g1:1001", "usb:+2d1:1001", "usb:12d1:1001:", "usb:12d1:1001:if=",
		"usb:12d1:1001:if=100", "usb:12d1:1001:if=-1", "usb:12d1:1001:serial=", "usb:12d1:1001:port=1", "usb:12d1:1001:if=1:serial=x",
		"usb:12d1:1001:serial=x:if=zz", "usb:12d1:1001:serial=a\nb", "", "tty\nS0",
	} {
		if err := CheckPortName(name); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for _, name := range []string{"COM3", "/dev/ttyUSB0", "/dev/serial/by-id/usb-x-if00-port0", "simulated"} {
		if err := CheckPortName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A stick is found wherever it is, an ambiguous name is refused, and what isn't there
// is absent, with a list of what is.
func TestPick(t *testing.T) {
	ports := []PortInfo{
		{Name: "/dev/ttyS0"},
		{Name: "/dev/ttyUSB0", USB: &USBDevice{Vendor: 0x12d1, Product: 0x1001, Model: "Mobile", Interface: 0}},
		{Name: "/dev/ttyUSB1", USB: &USBDevice{Vendor: 0x12d1, Product: 0x1001, Model: "Mobile", Interface: 1}},
		{Name: "/dev/ttyUSB2", USB: &USBDevice{Vendor: 0x0403, Product: 0x6001, Serial: "A1", Interface: 0}},
		{Name: "/dev/ttyUSB3", USB: &USBDevice{Vendor: 0x0403, Product: 0x6001, Serial: "A2", Interface: 0}},
		{Name: "COM9", USB: &USBDevice{Vendor: 0x1111, Product: 0x2222, Interface: -1}},
	}
	for name, want := range map[string]string{
		"usb:12d1:1001:if=01":     "/dev/ttyUSB1",
		"usb:0403:6001:serial=A2": "/dev/ttyUSB3",
		"usb:1111:2222:if=02":     "COM9",
	} {
		u, err := parseUSBName(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pick(name, u, ports); err != nil || got != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct {
		absent bool
		hint   string
	}{
		"usb:12d1:1001":           {false, "if=01 Mobile"},
		"usb:0403:6001":           {false, "/dev/ttyUSB3"},
		"usb:0403:6001:serial=A3": {true, "/dev/ttyS0, /dev/ttyUSB0 (usb:12d1:1001:if=00 Mobile)"},
		"usb:9999:0001":           {true, "/dev/ttyUSB1"},
	} {
		u, err := parseUSBName(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = pick(name, u, ports)
		var oe *OpenError
		if !errors.As(err, &oe) || oe.Absent() != c.absent || !strings.Contains(oe.Hint, c.hint) || oe.Name != name {
			t.Errorf("%s: %v, hint %q", name, err, oe.Advice())
		}
	}
	if _, err := pick("usb:9999:0001", usbName{vendor: 0x9999, product: 1, iface: -1}, nil); !strings.Contains(err.(*OpenError).Hint, "plugged in?") {
		t.Error(err)
	}
}

func FuzzUSBName(f *testing.F) {
	for _, s := range []string{"usb:12d1:1001", "usb:12d1:1001:if=00", "usb:0403:6001:serial=A:B:if=0a", "usb:", "COM3", "usb:12d1:1001:serial=:if=:if=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		u, err := parseUSBName(name)
		if err != nil {
			return
		}
		if !strings.HasPrefix(name, usbPrefix) || u.iface < -1 || u.iface > 255 {
			t.Fatalf("%q is taken for %+v", name, u)
		}
		again, err := parseUSBName(u.String())
		// A serial number without an interface may itself end like one.
		if strings.Contains(u.serial, ":if=") && u.iface < 0 {
			return
		}
		if err != nil || again != u {
			t.Fatalf("%q is %+v, and written again %+v, %v", name, u, again, err)
		}
	})
}
