package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"outpost/spool"
)

// Inbox names the folder that every mailbox has. Its messages lie in the mailbox's
// own tmp, new and cur.
const Inbox = "INBOX"

// maxFolderName bounds a folder's name on the disk: file systems take 255 octets,
// and two are kept for what others add while they rename.
const maxFolderName = 250

// ErrFolderName is wrapped by every refusal of a folder's name. It is permanent.
var ErrFolderName = errors.New("not a name for a folder")

// Folder is the folder name inside the mailbox, levels separated by "/"
// ("Archive/2026"). It is made where it is missing when something is delivered into
// it. "" and INBOX, in any case, are the mailbox itself. The error is
// ErrFolderName's. d must be a mailbox, not a folder of one.
func (d Dir) Folder(name string) (Dir, error) {
	sub, err := folderDir(name)
	if err != nil {
		return Dir{}, err
	}
	if sub != "" {
		d.Root = filepath.Join(d.Root, sub)
		d.folder = true
	}
	return d, nil
}

// folderDir is a folder's name on the disk: Maildir++ has all folders side by side,
// each level behind a dot, in modified UTF-7 (RFC 3501 §5.1.3) as Dovecot has it
// by default.
func folderDir(name string) (string, error) {
	if name == "" || strings.EqualFold(name, Inbox) {
		return "", nil
	}
	if why := badFolderName(name); why != "" {
		return "", fmt.Errorf("%q is %w: %s", name, ErrFolderName, why)
	}
	sub := "." + strings.ReplaceAll(encodeUTF7(name), "/", ".")
	if len(sub) > maxFolderName {
		return "", fmt.Errorf("%q is %w: it is too long", name, ErrFolderName)
	}
	return sub, nil
}

// badFolderName says what is wrong with a name, "" if nothing is.
func badFolderName(name string) string {
	if !validText(name) {
		return "it has characters that are not text"
	}
	if strings.HasPrefix(name, "~") {
		return "Dovecot takes no ~ at the beginning"
	}
	for level := range strings.SplitSeq(name, "/") {
		switch {
		case level == "":
			return "a level of it is empty"
		case strings.ContainsAny(level, `.\`):
			return "a dot or a backslash would mean something else on the disk"
		case strings.TrimSpace(level) != level:
			return "a level of it begins or ends in a space"
		}
	}
	return ""
}

// folderName is the name of the folder that lies in sub, "" if sub is none.
func folderName(sub string) string {
	rest, ok := strings.CutPrefix(sub, ".")
	if !ok || rest == "" || rest[0] == '.' {
		return ""
	}
	name, err := decodeUTF7(strings.ReplaceAll(rest, ".", "/"))
	if err != nil {
		return ""
	}
	if again, err := folderDir(name); err != nil || again != sub {
		return "" // It couldn't be reached by that name.
	}
	return name
}

// makeFolder creates a folder's marker, by which delivery agents and quota know that
// the mailbox is the one above (Maildir++).
func (d Dir) makeFolder() error {
	f, err := os.OpenFile(filepath.Join(d.Root, "maildirfolder"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), spool.SyncDir(d.Root))
}
