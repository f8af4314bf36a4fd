package modem

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// usbPrefix begins the name of a port that is found by its USB device.
const usbPrefix = "usb:"

// usbName is a port named by what it is instead of where it is.
type usbName struct {
	vendor, product USBID
	serial          string // "": any
	iface           int    // the interface's number; -1: any
}

// CheckPortName says what is wrong with a port's name. A device's name can't be told
// wrong before it is opened; that of a USB device is
//
//	usb:VID:PID[:serial=TEXT][:if=NN]
//
// with the vendor, the product and NN, the number of the interface, in hexadecimal, as lsusb
// and /dev/serial/by-id have them. A mobile modem has several interfaces, most of which
// are no modem. Of two devices of the same kind the serial number tells which. The text
// of a serial number goes to the end, or to ":if=".
func CheckPortName(name string) error {
	if !strings.HasPrefix(name, usbPrefix) {
		if name == "" || strings.ContainsAny(name, "\x00\r\n") {
			return errors.New("name the serial port, such as /dev/ttyUSB0, /dev/serial/by-id/... or COM3")
		}
		return nil
	}
	_, err := parseUSBName(name)
	return err
}

func parseUSBName(name string) (usbName, error) {
	u := usbName{iface: -1}
	bad := func(what string) (usbName, error) {
		return usbName{}, fmt.Errorf("%s: must be usb:VID:PID, and may have :serial=TEXT and :if=NN behind it, such as usb:12d1:1001:if=00", what)
	}
	rest, ok := strings.CutPrefix(name, usbPrefix)
	vendor, rest, two := strings.Cut(rest, ":")
	product, rest, more := strings.Cut(rest, ":")
	if !ok || !two || !parseHex(vendor, &u.vendor) || !parseHex(product, &u.product) {
		return bad("the vendor and product are four hexadecimal digits each")
	}
	if text, ok := strings.CutPrefix(rest, "serial="); ok {
		if i := strings.LastIndex(text, ":if="); i >= 0 {
			u.serial, rest = text[:i], text[i+1:]
		} else {
			u.serial, rest, more = text, "", false
		}
		if u.serial == "" || strings.ContainsAny(u.serial, "\x00\r\n") {
			return bad("the serial number is empty or no text")
		}
	}
	if !more {
		return u, nil
	}
	digits, ok := strings.CutPrefix(rest, "if=")
	n, err := strconv.ParseUint(digits, 16, 8)
	if !ok || err != nil || len(digits) > 2 {
		return bad(strconv.Quote(rest) + " is not if=NN with a hexadecimal number")
	}
	u.iface = int(n)
	return u, nil
}

// parseHex reads four hexadecimal digits.
func parseHex(s string, v *USBID) bool {
	n, err := strconv.ParseUint(s, 16, 16)
	*v = USBID(n) //nolint:gosec // 16 bits were asked for
	return err == nil && len(s) == 4
}

// String is the name again.
func (u usbName) String() string {
	s := fmt.Sprintf("%s%v:%v", usbPrefix, u.vendor, u.product)
	if u.serial != "" {
		s += ":serial=" + u.serial
	}
	if u.iface >= 0 {
		s += fmt.Sprintf(":if=%02x", u.iface)
	}
	return s
}

// matches says whether a port is of that device, as far as the system tells.
func (u usbName) matches(d *USBDevice) bool {
	return d != nil && d.Vendor == u.vendor && d.Product == u.product &&
		(u.serial == "" || d.Serial == u.serial) && (u.iface < 0 || d.Interface < 0 || d.Interface == u.iface)
}

// Device is the device that a port's name stands for now: the name itself, unless it is
// that of a USB device, which is looked for. The error is an *OpenError.
func Device(name string) (string, error) {
	if !strings.HasPrefix(name, usbPrefix) {
		return name, nil
	}
	u, err := parseUSBName(name)
	if err != nil {
		return "", &OpenError{Name: name, Err: errors.New("no name for a USB device"), Hint: err.Error()}
	}
	ports, err := usbPorts()
	if err != nil {
		return "", &OpenError{Name: name, Err: fmt.Errorf("looking for USB devices: %w", err), Hint: "name the port itself"}
	}
	return pick(name, u, ports)
}

// pick finds the one port of a USB device.
func pick(name string, u usbName, ports []PortInfo) (string, error) {
	var found []PortInfo
	for _, p := range ports {
		if u.matches(p.USB) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0].Name, nil
	case 0:
		return "", &OpenError{Name: name, Err: fmt.Errorf("no such USB device: %w", fs.ErrNotExist), Hint: "it is not plugged in, or not as a modem yet" + listing(ports)}
	}
	return "", &OpenError{
		Name: name, Err: fmt.Errorf("%d ports are of that USB device", len(found)),
		Hint: "say which with :if=NN or :serial=TEXT" + listing(found) + "; outpost modem probe tells which of them answers",
	}
}
