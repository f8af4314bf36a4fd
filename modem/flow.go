package modem

// Flow is how computer and modem hold each other back when one is not ready: without
// it octets are lost where the rate of the cable is above that of the line. The modem
// must be set to the same (AT&K3 or AT+IFC=2,2 for RTS/CTS, AT&K4 or AT+IFC=1,1 for
// XON/XOFF on most).
//
// On Linux, macOS and the BSDs what is asked for is set and read back, and
// PortOptions.Note is told when the driver does not keep it. On Windows there is none: the
// library opens the port without, keeps the handle, and the port cannot be opened
// twice. Choose a rate no higher than the line's there, or a USB modem, which is held
// back by USB itself.
type Flow string

// The ways of flow control.
const (
	// RTSCTS is the wires RTS and CTS. It is left off, with a note, where the modem does
	// not raise CTS. The default.
	RTSCTS Flow = "rtscts"
	// XONXOFF is the characters XON and XOFF (0x11 and 0x13) in the data, for cables
	// without RTS and CTS. What goes over the line must then be free of them both ways:
	// with PPP that is an ACCM of [XONXOFFMap].
	XONXOFF Flow = "xonxoff"
	// NoFlow is none.
	NoFlow Flow = "none"
)

// XONXOFFMap is the PPP control character map (RFC 1662 §7.1) that has XON and XOFF
// escaped, for a line with XONXOFF.
const XONXOFFMap = 1<<0x11 | 1<<0x13
