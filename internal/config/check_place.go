package config

import "strings"

// maxFolder is how long the name of a folder inside a mailbox may be, in octets. It is
// one file name on the disk, with what Maildir++ and modified UTF-7 add.
const maxFolder = 100

// place wants text to be a place of the office: NAME of a user, folder or list,
// NAME/Folder inside the mailbox of a user or folder, or SERVER:address.
func (n names) place(f *Faults, where, text string) {
	server, mailbox, onServer := strings.Cut(text, ":")
	if onServer && !strings.Contains(server, "/") {
		if n[server] != isServer {
			f.add(where, text, "no [[server]] has the name before the colon")
		}
		address(f, where, mailbox)
		return
	}
	name, folder, inside := strings.Cut(text, "/")
	kind := n[name]
	switch {
	case inside && kind != isUser && kind != isFolder:
		f.add(where, text, "no user and no folder has the name before the slash")
	case inside:
		folderName(f, where, folder)
	case kind == isServer:
		f.add(where, text, "is a server; write %s:name@domain for a mailbox there", name)
	case kind == "":
		f.add(where, text, "no user, folder or list has that name")
	}
}

func (n names) places(f *Faults, where string, list []string) {
	for _, p := range list {
		n.place(f, where, p)
	}
}

// folderName wants a folder inside a mailbox, with / between levels. Whether it is
// there does not matter: the first message makes it.
func folderName(f *Faults, where, name string) {
	ok := len(name) <= maxFolder
	for level := range strings.SplitSeq(name, "/") {
		bad := func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd || strings.ContainsRune(`.*%\`, r) }
		ok = ok && level != "" && level == strings.TrimSpace(level) && !strings.ContainsFunc(level, bad)
	}
	if !ok {
		f.add(where, quote(name), "must be the name of a folder, / between levels, without . * %% \\ and at most %d octets", maxFolder)
	}
}
