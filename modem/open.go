package modem

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"go.bug.st/serial"
)

// OpenError is a serial port that could not be opened.
type OpenError struct {
	Name string // the port
	Hint string // what a person can do
	Err  error
}

func (e *OpenError) Error() string { return fmt.Sprintf("modem: port %s: %v", e.Name, e.Err) }

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *OpenError) Advice() string { return e.Hint }

// Absent says that there is no such port: nothing is plugged in under that name.
func (e *OpenError) Absent() bool { return absent(e.Err) }

func absent(err error) bool {
	return codeOf(err) == serial.PortNotFound || errors.Is(err, fs.ErrNotExist)
}

// codeOf is the library's code of an error, -1 when it has none.
func codeOf(err error) serial.PortErrorCode {
	var pe *serial.PortError
	if errors.As(err, &pe) {
		return pe.Code()
	}
	return -1
}

// OpenPort opens a serial port with 8 data bits, no parity, 1 stop bit. The library
// forces hardware flow control off; where the system lets us (Linux) and the modem
// raises CTS, it is switched on again. The error is an *OpenError.
func OpenPort(name string, baud int) (serial.Port, error) {
	// A second descriptor, opened before the library makes the port exclusive.
	flow := openFlow(name)
	defer flow.close()
	port, err := serial.Open(name, &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err != nil {
		return nil, &OpenError{Name: name, Hint: openHint(name, err), Err: err}
	}
	// A modem that does not raise CTS (a three-wire cable, one that is off) would hold every
	// write for ever.
	if bits, err := port.GetModemStatusBits(); err == nil && bits.CTS {
		flow.hardware()
	}
	return port, nil
}

func openHint(name string, err error) string {
	code := codeOf(err)
	switch {
	case code == serial.PortBusy:
		if who := holder(name); who != "" {
			return "the port is in use by " + who
		}
		return "another program is using the port"
	case code == serial.PermissionDenied || errors.Is(err, fs.ErrPermission):
		return "this user may not open the port: add it to the group that owns it (dialout on Debian, uucp on Arch and Red Hat) and log in again"
	case absent(err):
		if ports, err := serial.GetPortsList(); err == nil && len(ports) > 0 {
			return "there is no such port; there are: " + strings.Join(ports, ", ")
		}
		return "there is no such port: is the modem plugged in?"
	case code == serial.InvalidSpeed:
		return "this port cannot do the configured rate"
	case code == serial.InvalidSerialPort:
		return "this is not a serial port"
	}
	return ""
}
