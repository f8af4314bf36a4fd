package modem

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// tree makes files, and links where the text begins with "-> ".
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The kernel's tree as a small office's computer has it: a UART with a modem, one that
// is not there, the console, a converter, a stick with two ports, a handset.
func TestPortsUnder(t *testing.T) {
	const (
		usb     = "sys/devices/pci0000:00/0000:00:14.0/usb1/"
		uart    = "sys/devices/pnp0/00:05/"
		console = "sys/devices/platform/soc/fe201000.serial/"
	)
	root := tree(t, map[string]string{
		"sys/class/tty/tty0":                     "-> ../../devices/virtual/tty/tty0",
		"sys/devices/virtual/tty/tty0/dev":       "4:0\n",
		"sys/class/tty/console":                  "-> ../../devices/virtual/tty/console",
		"sys/devices/virtual/tty/console/active": "tty0 ttyAMA0\n",

		"sys/class/tty/ttyS0":                              "-> ../../devices/pnp0/00:05/tty/ttyS0",
		uart + "tty/ttyS0/device":                          "-> ../../../00:05",
		uart + "tty/ttyS0/type":                            "4\n",
		uart + "driver":                                    "-> ../../../bus/pnp/drivers/serial",
		"sys/bus/pnp/drivers/serial/x":                     "",
		"sys/class/tty/ttyS1":                              "-> ../../devices/platform/serial8250/tty/ttyS1",
		"sys/devices/platform/serial8250/tty/ttyS1/device": "-> ../../../serial8250",
		"sys/devices/platform/serial8250/tty/ttyS1/type":   "0\n",
		"sys/class/tty/ttyAMA0":                            "-> ../../devices/platform/soc/fe201000.serial/tty/ttyAMA0",
		console + "tty/ttyAMA0/device":                     "-> ../../../fe201000.serial",
		console + "tty/ttyAMA0/type":                       "32\n",

		usb + "1-2/idVendor":                             "0403\n",
		usb + "1-2/idProduct":                            "6001\n",
		usb + "1-2/serial":                               "A6008isP\n",
		usb + "1-2/manufacturer":                         "FTDI\n",
		usb + "1-2/product":                              "FT232R USB\tUART\n",
		usb + "1-2/1-2:1.0/bInterfaceNumber":             "00\n",
		usb + "1-2/1-2:1.0/ttyUSB10/driver":              "-> ../../../../../../../bus/usb-serial/drivers/ftdi_sio",
		"sys/bus/usb-serial/drivers/ftdi_sio/x":          "",
		usb + "1-2/1-2:1.0/ttyUSB10/tty/ttyUSB10/device": "-> ../../../ttyUSB10",
		"sys/class/tty/ttyUSB10":                         "-> ../../devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/ttyUSB10/tty/ttyUSB10",

		usb + "1-3/idVendor":                           "12d1\n",
		usb + "1-3/idProduct":                          "1001\n",
		usb + "1-3/product":                            "HUAWEI Mobile\n",
		usb + "1-3/1-3:1.0/bInterfaceNumber":           "00\n",
		usb + "1-3/1-3:1.0/ttyUSB1/tty/ttyUSB1/device": "-> ../../../ttyUSB1",
		usb + "1-3/1-3:1.0/ttyUSB1/driver":             "-> ../../../../../../../bus/usb-serial/drivers/option1",
		"sys/bus/usb-serial/drivers/option1/x":         "",
		"sys/class/tty/ttyUSB1":                        "-> ../../devices/pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.0/ttyUSB1/tty/ttyUSB1",
		usb + "1-3/1-3:1.a/bInterfaceNumber":           "0a\n",
		usb + "1-3/1-3:1.a/ttyUSB2/tty/ttyUSB2/device": "-> ../../../ttyUSB2",
		"sys/class/tty/ttyUSB2":                        "-> ../../devices/pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.a/ttyUSB2/tty/ttyUSB2",

		usb + "1-4/idVendor":                   "1edd\n",
		usb + "1-4/idProduct":                  "7df7\n",
		usb + "1-4/1-4:1.1/bInterfaceNumber":   "01\n",
		usb + "1-4/1-4:1.1/driver":             "-> ../../../../../../bus/usb/drivers/cdc_acm",
		"sys/bus/usb/drivers/cdc_acm/x":        "",
		usb + "1-4/1-4:1.1/tty/ttyACM0/device": "-> ../../../1-4:1.1",
		"sys/class/tty/ttyACM0":                "-> ../../devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.1/tty/ttyACM0",

		"dev/serial/by-id/usb-FTDI_FT232R-if00-port0": "-> ../../ttyUSB10",
		"dev/serial/by-path/pci-0000:00:14.0-usb-0:2": "-> ../../ttyUSB10",
		"dev/serial/by-id/usb-Iridium-if01":           "-> /dev/ttyACM0",
	})
	got, err := portsUnder(root)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]PortInfo{
		"/dev/ttyS0":   {Driver: "serial"},
		"/dev/ttyAMA0": {Console: true},
		"/dev/ttyUSB10": {Driver: "ftdi_sio", Links: []string{"/dev/serial/by-id/usb-FTDI_FT232R-if00-port0", "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2"},
			USB: &USBDevice{0x0403, 0x6001, "A6008isP", "FTDI", "FT232R USB UART", 0}},
		"/dev/ttyUSB1": {Driver: "option1", USB: &USBDevice{0x12d1, 0x1001, "", "", "HUAWEI Mobile", 0}},
		"/dev/ttyUSB2": {USB: &USBDevice{0x12d1, 0x1001, "", "", "HUAWEI Mobile", 10}},
		"/dev/ttyACM0": {Driver: "cdc_acm", Links: []string{"/dev/serial/by-id/usb-Iridium-if01"}, USB: &USBDevice{0x1edd, 0x7df7, "", "", "", 1}},
	}
	for _, p := range got {
		w, ok := want[p.Name]
		w.Name = p.Name
		if !ok || !reflect.DeepEqual(p, w) {
			t.Errorf("got  %+v %+v\nwant %+v %+v", p, p.USB, w, w.USB)
		}
		delete(want, p.Name)
	}
	for name := range want {
		t.Errorf("%s was not found", name)
	}
	lasting := make(map[string]string)
	for _, p := range got {
		lasting[p.Name] = p.Lasting()
	}
	for name, want := range map[string]string{
		"/dev/ttyS0": "/dev/ttyS0", "/dev/ttyUSB10": "/dev/serial/by-id/usb-FTDI_FT232R-if00-port0", "/dev/ttyUSB2": "usb:12d1:1001:if=0a",
	} {
		if lasting[name] != want {
			t.Errorf("%s is best called %q", name, lasting[name])
		}
	}
	if _, err := portsUnder(t.TempDir()); err == nil {
		t.Error("a system without the kernel's lists has no error")
	}
}

// ttyUSB2 comes before ttyUSB10.
func TestNatural(t *testing.T) {
	if natural("ttyUSB2", "ttyUSB10") >= 0 || natural("ttyUSB0", "ttyS9") <= 0 || natural("COM3", "COM3") != 0 {
		t.Error("names are not sorted as people count")
	}
}
