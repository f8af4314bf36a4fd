//go:build !linux

package session

import "testing"

// freshDir is a temporary folder.
func freshDir(b *testing.B) string { return b.TempDir() }
