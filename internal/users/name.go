package users

import (
	"fmt"

	"outpost/internal/route"
)

// CheckName tells whether somebody may have this name. It is that of a mailbox, and so
// of a folder on any of our systems. The error begins with the name.
func CheckName(name string) error {
	if err := route.CheckName(name); err != nil {
		return err
	}
	if name[0] == '_' {
		return fmt.Errorf("%q: the name must begin with a letter or digit", name)
	}
	return nil
}
