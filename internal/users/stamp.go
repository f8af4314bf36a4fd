package users

import "os"

// Stamp tells whether a users file is still the one that was read. The zero value is that
// of a file that isn't there, or can't be looked at.
type Stamp struct{ info os.FileInfo }

// Stamp is that of the file as it is now.
func (f *File) Stamp() Stamp {
	info, err := os.Stat(f.path)
	if err != nil {
		return Stamp{}
	}
	return Stamp{info}
}

// Same says that nothing has changed between two stamps. A change is renamed into place,
// so it is another file; what an editor writes has another time or size.
func (s Stamp) Same(other Stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return os.SameFile(s.info, other.info) && s.info.Size() == other.info.Size() && s.info.ModTime().Equal(other.info.ModTime())
}
