//go:build !(linux || darwin || freebsd || openbsd)

package modem

import "errors"

// side does nothing here: the library's handle cannot be reached, and the port cannot be
// opened twice.
type side struct{}

func openSide(string) side { return side{} }

func (side) setFlow(f Flow) error {
	if f == NoFlow {
		return nil
	}
	return errors.New("it cannot be switched on on this system")
}

func (side) restart() {}
func (side) close()   {}
