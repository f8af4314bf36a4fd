package config

import (
	"strings"

	"outpost/internal/route"
)

// onServer says that a text is SERVER:address.
func (b *book) onServer(text string) bool {
	server, _, ok := strings.Cut(text, ":")
	return ok && b.kind[server] == isServer
}

// place wants text to be a place of the office: NAME of a user, folder or list,
// NAME/Folder inside the mailbox of a user or folder, or SERVER:address.
func (b *book) place(f *Faults, where, text string) {
	name, rest := text, ""
	i := strings.IndexAny(text, "/:")
	if i >= 0 {
		name, rest = text[:i], text[i+1:]
	}
	kind := b.kind[name]
	switch {
	case i < 0 && kind == isServer:
		f.add(where, text, "is a server; write %s:name@domain for a mailbox there", name)
	case i < 0 && kind == "":
		f.add(where, text, "no user, folder or list has that name")
	case i < 0:
	case text[i] == ':' && kind != isServer:
		f.add(where, text, "no [[server]] has the name before the colon")
	case text[i] == ':':
		address(f, where, rest)
	case kind != isUser && kind != isFolder:
		f.add(where, text, "no user and no folder has the name before the slash")
	case b.away[name]:
		f.add(where, text, "the mailbox of %s is on a server, where no folder can be named", name)
	default:
		folderName(f, where, rest)
	}
}

func (b *book) places(f *Faults, where string, list []string) {
	for _, p := range list {
		b.place(f, where, p)
	}
}

// folderName wants a folder inside a mailbox, with / between levels. Whether it is
// there does not matter: the first message makes it.
func folderName(f *Faults, where, name string) {
	if route.CheckFolder(name) != nil {
		f.add(where, quote(name), "must be the name of a folder, / between levels, without . : * %% \\ and at most %d octets", route.MaxFolder)
	}
}
