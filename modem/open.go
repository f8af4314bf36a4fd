package modem

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"go.bug.st/serial"
)

// DefaultBaud is the rate between computer and modem where none is asked for: the
// highest that every port can do, four times what V.42bis makes of V.90.
const DefaultBaud = 115200

// PortOptions says which serial port to open, and how.
type PortOptions struct {
	// Name is a device ("/dev/ttyS0", "COM3"), a link to one ("/dev/serial/by-id/..."), or a
	// USB device wherever it is plugged in and whatever it is called today
	// ("usb:12d1:1001:if=00", see [CheckPortName]).
	Name string
	Baud int  // bit/s between computer and modem (the DTE rate). 0: DefaultBaud
	Flow Flow // how either side holds the other back. "": RTSCTS

	// LockDirs are where UUCP lock files are looked for; one is made in the first that
	// takes it. Nil: the system's own. Empty: no lock files.
	LockDirs []string
	// OnlyFree refuses a port that any other process has open, also one that lets others
	// in: for a program that only looks around.
	OnlyFree bool

	// Note is told what isn't as it was asked for and yet doesn't keep the port from being
	// used, in words for a person. Called by OpenPort before it returns. Nil: nobody is.
	Note func(text string)
}

func (o PortOptions) withDefaults() PortOptions {
	if o.Baud == 0 {
		o.Baud = DefaultBaud
	}
	if o.Flow == "" {
		o.Flow = RTSCTS
	}
	if o.LockDirs == nil {
		o.LockDirs = systemLockDirs()
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	return o
}

// OpenPort opens a serial port with 8 data bits, no parity, 1 stop bit and the asked-for
// flow control, after it has locked it as UUCP, pppd and minicom do. Closing the port
// takes the lock away. The error is an *OpenError.
func OpenPort(opt PortOptions) (serial.Port, error) {
	opt = opt.withDefaults()
	device, err := Device(opt.Name)
	if err != nil {
		return nil, err
	}
	lock, user := lockPort(device, opt)
	if user == nil && opt.OnlyFree {
		user = holder(device)
	}
	if user != nil {
		lock.release()
		return nil, inUse(opt.Name, user, nil)
	}
	// A second descriptor, opened before the library makes the port exclusive: it keeps
	// its own to itself, and switches flow control off.
	side := openSide(device)
	port, err := serial.Open(device, &serial.Mode{BaudRate: opt.Baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err != nil {
		side.close()
		lock.release()
		return nil, openError(opt.Name, device, err)
	}
	p := &openedPort{Port: port, side: side, lock: lock}
	p.setFlow(opt)
	return p, nil
}

// openedPort is the library's port with what we hold of it besides.
type openedPort struct {
	serial.Port
	side side
	lock *portLock
	soft bool // XON/XOFF is on
}

const (
	// ctsWait is how long a modem may take to raise CTS after the opening raised RTS and
	// DTR. The modem answers within milliseconds, but some USB converters tell the state of
	// their lines only when they are next polled.
	ctsWait = 300 * time.Millisecond
	ctsPoll = 20 * time.Millisecond
)

// setFlow switches flow control on and notes what of it cannot be had.
func (p *openedPort) setFlow(opt PortOptions) {
	flow := opt.Flow
	if flow == RTSCTS {
		// A modem that does not raise CTS (a three-wire cable, one that is off) would hold
		// every write for ever.
		if err := p.awaitCTS(); err != nil {
			opt.Note(fmt.Sprintf("no flow control: %v", err))
			flow = NoFlow
		}
	}
	if err := p.side.setFlow(flow); err != nil {
		opt.Note(fmt.Sprintf("no flow control, data may be lost at high rates: %v", err))
		return
	}
	p.soft = flow == XONXOFF
}

// awaitCTS waits until the modem raises CTS.
func (p *openedPort) awaitCTS() error {
	for end := time.Now().Add(ctsWait); ; time.Sleep(ctsPoll) {
		bits, err := p.GetModemStatusBits()
		switch {
		case err != nil:
			return fmt.Errorf("the port has no CTS: %w", err)
		case bits.CTS:
			return nil
		case time.Now().After(end):
			return errors.New("the modem does not raise CTS: check that it is on and that its cable has all wires, or set flow_control")
		}
	}
}

// ResetOutputBuffer throws away what was not sent. With XON/XOFF it also ends a stop:
// an XOFF that noise made, or whose XON was lost, would hold a hang-up too.
func (p *openedPort) ResetOutputBuffer() error {
	err := p.Port.ResetOutputBuffer()
	if p.soft {
		p.side.restart()
	}
	return err
}

// Close closes the port and takes its lock away.
func (p *openedPort) Close() error {
	p.side.close()
	err := p.Port.Close()
	p.lock.release()
	return err
}

// OpenError is a serial port that could not be opened.
type OpenError struct {
	Name string    // the port, as it was asked for
	User *PortUser // who has it, nil when it is not in use
	Hint string    // what a person can do
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

// inUse is the error of a port that somebody has; cause may be nil.
func inUse(name string, user *PortUser, cause error) *OpenError {
	e := &OpenError{Name: name, User: user, Err: fmt.Errorf("in use by %v", user)}
	if cause != nil {
		e.Err = fmt.Errorf("in use by %v: %w", user, cause)
	}
	e.Hint = "wait until that program is done with the port, or stop it"
	if user.LockFile != "" {
		e.Hint += "; if it is not using the port at all, remove the lock file"
	}
	return e
}

// openError is what the library's error means.
func openError(name, device string, err error) *OpenError {
	if codeOf(err) == serial.PortBusy {
		user := holder(device)
		if user == nil {
			user = &PortUser{}
		}
		return inUse(name, user, err)
	}
	return &OpenError{Name: name, Hint: openHint(err), Err: err}
}

func openHint(err error) string {
	code := codeOf(err)
	switch {
	case code == serial.PermissionDenied || errors.Is(err, fs.ErrPermission):
		return "this user may not open the port: add it to the group that owns it (dialout on Debian, uucp on Arch and Red Hat) and log in again"
	case absent(err):
		return "there is no such port" + listed()
	case code == serial.InvalidSpeed:
		return "this port cannot do the configured rate"
	case code == serial.InvalidSerialPort:
		return "this is not a serial port"
	}
	return ""
}

// listed names the ports there are, for a hint.
func listed() string {
	ports, err := Ports()
	if err != nil {
		return ""
	}
	return listing(ports)
}

func listing(ports []PortInfo) string {
	if len(ports) == 0 {
		return ", and no other: is the modem plugged in?"
	}
	const most = 8
	var names []string
	for _, p := range ports[:min(len(ports), most)] {
		names = append(names, p.String())
	}
	if len(ports) > most {
		names = append(names, fmt.Sprintf("and %d more", len(ports)-most))
	}
	return "; there are: " + strings.Join(names, ", ")
}
