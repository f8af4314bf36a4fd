package maildir

// infoMark stands before the flags in a file name. Windows takes no colon there; a
// semicolon is what programs use there instead. Such a Maildir must be renamed to
// move to Unix.
const infoMark = ";"

// processGone can't be told here: a lock is given up when it is old.
func processGone(int) bool { return false }
