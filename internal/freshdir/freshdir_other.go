//go:build !linux

package freshdir

import "testing"

// Make makes a temporary folder.
func Make(b *testing.B) string { return b.TempDir() }
