//go:build !linux && !windows && !(darwin && cgo)

package modem

import "errors"

// usbPorts cannot be found out: the library has it for macOS with cgo only, and the
// BSDs not at all. A port has a name of its own there that stays.
func usbPorts() ([]PortInfo, error) {
	return nil, errors.New("USB devices cannot be told apart on this system")
}
