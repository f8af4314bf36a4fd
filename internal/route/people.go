package route

// Outside gives the address under which the world knows the owner of an office address, for mail that leaves
// the office. ok is false where it is the address itself: nobody has it, he has no identity at the provider, or
// several have it, so that it is nobody's own.
func (t *Table) Outside(addr string) (identity string, ok bool) {
	names := t.lookup(canonical(addr))
	if len(names) != 1 {
		return "", false
	}
	u, ok := t.User(names[0])
	return u.Identity, ok && u.Identity != ""
}

// Owner gives the user whose mailbox a place is.
func (t *Table) Owner(place string) (User, bool) {
	for _, u := range t.opt.Users {
		if home, ok := t.Home(u.Name); ok && home.String() == place {
			return u, true
		}
	}
	return User{}, false
}

// Identities says that somebody has one, so that mail looks different outside.
func (t *Table) Identities() bool {
	for _, u := range t.opt.Users {
		if u.Identity != "" {
			return true
		}
	}
	return false
}
