//go:build !linux

package modem

import "go.bug.st/serial"

// systemPorts lists the ports with what the system tells of their USB devices; where that is
// nothing, their names only.
func systemPorts() ([]PortInfo, error) {
	ports, err := usbPorts()
	if err == nil {
		return ports, nil
	}
	names, err := serial.GetPortsList()
	for _, n := range names {
		ports = append(ports, PortInfo{Name: n})
	}
	return ports, err
}
