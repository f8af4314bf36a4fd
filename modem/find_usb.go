//go:build windows || (darwin && cgo)

package modem

import "go.bug.st/serial/enumerator"

// usbPorts asks the system, which does not tell which interface a port is.
func usbPorts() ([]PortInfo, error) {
	list, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, err
	}
	ports := make([]PortInfo, 0, len(list))
	for _, d := range list {
		p := PortInfo{Name: d.Name}
		u := &USBDevice{Serial: d.SerialNumber, Manufacturer: d.Manufacturer, Model: d.Product, Interface: -1}
		if d.IsUSB && parseHex(d.VID, &u.Vendor) && parseHex(d.PID, &u.Product) {
			p.USB = u
		}
		ports = append(ports, p)
	}
	return ports, nil
}
