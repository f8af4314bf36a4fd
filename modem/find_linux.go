package modem

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func systemPorts() ([]PortInfo, error) { return portsUnder("/") }
func usbPorts() ([]PortInfo, error)    { return portsUnder("/") }

// portsUnder reads the kernel's lists in sys/ and the links in dev/ of a root folder.
// The library's list is not used: it opens ports to see whether they are real, and
// that changes the settings of one that root has no lock on.
func portsUnder(root string) ([]PortInfo, error) {
	entries, err := os.ReadDir(filepath.Join(root, "sys/class/tty"))
	if err != nil {
		return nil, err
	}
	links := lastingLinks(root)
	consoles := strings.Fields(attribute(filepath.Join(root, "sys/class/tty/console"), "active"))
	var ports []PortInfo
	for _, e := range entries {
		dir := filepath.Join(root, "sys/class/tty", e.Name())
		// Only what hangs on a piece of hardware has a device: no console, no pseudo-terminal.
		device, err := filepath.EvalSymlinks(filepath.Join(dir, "device"))
		if err != nil || attribute(dir, "type") == "0" { // 0: a UART that is not there
			continue
		}
		name := "/dev/" + strings.ReplaceAll(e.Name(), "!", "/")
		p := PortInfo{Name: name, Links: links[name], USB: usbDevice(root, device), Console: slices.Contains(consoles, e.Name())}
		if driver, err := filepath.EvalSymlinks(filepath.Join(device, "driver")); err == nil {
			p.Driver = filepath.Base(driver)
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// usbDevice is what a port's device hangs on, if that is USB: an interface, somewhere
// above the port, of a device above that.
func usbDevice(root, dir string) *USBDevice {
	d := &USBDevice{Interface: -1}
	for len(dir) > len(root) {
		if n, err := strconv.ParseUint(attribute(dir, "bInterfaceNumber"), 16, 8); err == nil {
			d.Interface = int(n)
		}
		if parseHex(attribute(dir, "idVendor"), &d.Vendor) && parseHex(attribute(dir, "idProduct"), &d.Product) {
			d.Serial, d.Manufacturer, d.Model = attribute(dir, "serial"), attribute(dir, "manufacturer"), attribute(dir, "product")
			return d
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

// attribute reads one of the kernel's one-line files, "" when there is none. What a
// device says of itself is kept to what can be shown.
func attribute(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), "?")))
}

// lastingLinks are udev's names for each device. That of the device comes before that
// of the socket it is plugged into.
func lastingLinks(root string) map[string][]string {
	links := make(map[string][]string)
	for _, dir := range []string{"/dev/serial/by-id", "/dev/serial/by-path"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			target, err := os.Readlink(filepath.Join(root, dir, e.Name()))
			if err != nil {
				continue
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(dir, target)
			}
			links[target] = append(links[target], filepath.Join(dir, e.Name()))
		}
	}
	return links
}
