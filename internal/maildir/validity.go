package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// validityName is Dovecot's record of the last UIDVALIDITY given out in a mailbox,
// eight hexadecimal digits. Beside it lies an empty file with the number in its name.
const validityName = "dovecot-uidvalidity"

// nextValidity gives a UIDVALIDITY that no folder of the mailbox has had (RFC 3501
// §2.3.1.1): the clock's, or one above the last.
func nextValidity(root string) (uint32, error) {
	path := filepath.Join(root, validityName)
	release, err := lock(path)
	if err != nil {
		return 0, err
	}
	defer release()
	next := uint32(min(max(time.Now().Unix(), 1), 1<<31)) //nolint:gosec // bounded
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	// One that can't be read is as one that isn't there.
	last, err := strconv.ParseUint(strings.TrimSpace(string(text)), 16, 32)
	if err == nil && last < 1<<32-1 {
		next = max(next, uint32(last)+1)
	}
	hex := fmt.Sprintf("%08x", next)
	if err := writeFile(path, func(w io.Writer) error { _, err := io.WriteString(w, hex); return err }); err != nil {
		return 0, err
	}
	// Dovecot looks for the name first, and makes it again if it isn't there.
	fresh := path + "." + hex
	if err != nil || os.Rename(fmt.Sprintf("%s.%08x", path, last), fresh) != nil {
		if err := os.WriteFile(fresh, nil, 0o600); err != nil {
			return 0, err
		}
	}
	return next, nil
}
