package config

import (
	"slices"

	"outpost/internal/users"
)

// User is a person of the office.
type User struct {
	Name              string   `toml:"name"`
	Addresses         []string `toml:"addresses"`
	Password          string   `toml:"password"`
	Identity          string   `toml:"identity"`
	Server            *string  `toml:"server"`
	ServerAddress     string   `toml:"server_address"`
	External          *bool    `toml:"external"`
	MayCall           *bool    `toml:"may_call"`
	MaxOutBytes       int64    `toml:"max_out_bytes"`
	HoldInAboveBytes  *int64   `toml:"hold_in_above_bytes"`
	HoldOutAboveBytes *int64   `toml:"hold_out_above_bytes"`
	QuotaBytes        int64    `toml:"quota_bytes"`

	// FromUsersFile says that there is no [[user]] of that name: he stands in
	// storage.users_file only.
	FromUsersFile bool `toml:"-"`
}

// Folder is a mailbox that several people share.
type Folder struct {
	Name      string   `toml:"name"`
	Addresses []string `toml:"addresses"`
	Read      []string `toml:"read"`
	Write     []string `toml:"write"`
}

// List is an address of many.
type List struct {
	Name      string   `toml:"name"`
	Addresses []string `toml:"addresses"`
	Members   []string `toml:"members"`
}

// OfficeServer is a mail server on the office network that has mailboxes of its own.
type OfficeServer struct {
	Server
	Name string `toml:"name"`
	Kind string `toml:"kind"`
}

// The words of an OfficeServer's kind key.
const (
	ServerLMTP = "lmtp"
	ServerSMTP = "smtp"
)

// Delivery is where mailboxes are if nothing else is said of one.
type Delivery struct {
	Server string `toml:"server"`
}

// Everyone stands for all users in a folder's read and write.
const Everyone = "*"

// Internal says that the user may not send outside the office.
func (u User) Internal() bool { return u.External != nil && !*u.External }

// Calls says that mail of the user may ask for a call.
func (u User) Calls() bool { return u.MayCall == nil || *u.MayCall }

// ServerName is the server that has the user's mailbox; "" it is here.
func (u User) ServerName() string {
	if u.Server == nil {
		return ""
	}
	return *u.Server
}

// Kind says what has a name: "user", "folder", "list" or "server"; "" nothing.
func (c *Config) Kind(name string) string {
	switch {
	case slices.ContainsFunc(c.Users, func(u User) bool { return u.Name == name }):
		return isUser
	case slices.ContainsFunc(c.Folders, func(m Folder) bool { return m.Name == name }):
		return isFolder
	case slices.ContainsFunc(c.Lists, func(l List) bool { return l.Name == name }):
		return isList
	case slices.ContainsFunc(c.Servers, func(s OfficeServer) bool { return s.Name == name }):
		return isServer
	}
	return ""
}

// UsersWith gives the configured users, and behind them those of the names that none
// of them has, with the defaults of a [[user]]: what a users file read later makes of
// the office.
func (c *Config) UsersWith(names []string) []User {
	var all []User
	known := make(map[string]bool)
	for _, u := range c.Users {
		if !u.FromUsersFile {
			all, known[u.Name] = append(all, u), true
		}
	}
	for _, name := range names {
		if !known[name] {
			u := User{Name: name, FromUsersFile: true}
			u.withDefaults(c.Delivery)
			all, known[name] = append(all, u), true
		}
	}
	return all
}

// readUsers adds the people of the users file.
func (c *Config) readUsers(f *Faults) {
	list, err := users.Open(c.Storage.UsersFile).List()
	if err != nil {
		f.add("storage.users_file", "", "%v", err)
	}
	names := make([]string, 0, len(list))
	for _, e := range list {
		names = append(names, e.Name)
	}
	c.Users = c.UsersWith(names)
}
