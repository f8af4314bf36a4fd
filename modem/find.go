package modem

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// PortInfo is a serial port that is there.
type PortInfo struct {
	Name   string     `json:"name"`             // the device, such as /dev/ttyUSB0 or COM3
	Links  []string   `json:"links,omitempty"`  // lasting names for it, /dev/serial/by-id/... first
	Driver string     `json:"driver,omitempty"` // the system's driver, "" when not known
	USB    *USBDevice `json:"usb,omitempty"`    // nil: not on USB, or not known to be

	// Console says that the system's own console is there, which must not be typed at.
	Console bool `json:"console,omitempty"`
}

// USBDevice is what a USB device says it is.
type USBDevice struct {
	Vendor       USBID  `json:"vendor"`
	Product      USBID  `json:"product"`
	Serial       string `json:"serial,omitempty"`
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"` // the device's name for itself
	Interface    int    `json:"interface"`       // which of the device's interfaces the port is; -1: not known
}

// USBID is the number of a vendor or of a product, written as four hexadecimal digits.
type USBID uint16

func (id USBID) String() string { return fmt.Sprintf("%04x", uint16(id)) }

// MarshalText is String, for JSON.
func (id USBID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// Ports finds the serial ports there are, without opening any. Sorted by name; on a
// system that does not tell, the error says so.
func Ports() ([]PortInfo, error) {
	ports, err := systemPorts()
	slices.SortFunc(ports, func(a, b PortInfo) int { return natural(a.Name, b.Name) })
	return ports, err
}

// natural puts ttyUSB2 before ttyUSB10.
func natural(a, b string) int {
	stem := func(s string) string { return strings.TrimRight(s, "0123456789") }
	return cmp.Or(cmp.Compare(stem(a), stem(b)), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// Lasting is the name by which a configuration should call the port: one that stays when
// devices come and go, where there is one.
func (p PortInfo) Lasting() string {
	if len(p.Links) > 0 {
		return p.Links[0]
	}
	if p.USB != nil && p.USB.Interface >= 0 {
		u := usbName{vendor: p.USB.Vendor, product: p.USB.Product, serial: p.USB.Serial, iface: p.USB.Interface}
		if CheckPortName(u.String()) == nil {
			return u.String()
		}
	}
	return p.Name
}

// OwnRate says that the rate of the port means nothing, since the modem is in the USB
// device itself: any will do.
func (p PortInfo) OwnRate() bool {
	return slices.Contains([]string{"cdc_acm", "option", "option1", "qcserial", "sierra", "hso", "ipw", "cdc_ether"}, p.Driver)
}

// String is the port for a list: its name and what it is.
func (p PortInfo) String() string {
	if p.USB == nil {
		return p.Name
	}
	s := fmt.Sprintf("%s (usb:%v:%v", p.Name, p.USB.Vendor, p.USB.Product)
	if p.USB.Interface >= 0 {
		s += fmt.Sprintf(":if=%02x", p.USB.Interface)
	}
	if what := strings.TrimSpace(p.USB.Manufacturer + " " + p.USB.Model); what != "" {
		s += " " + what
	}
	return s + ")"
}
