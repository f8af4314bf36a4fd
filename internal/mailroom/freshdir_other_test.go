//go:build !linux

package mailroom

import (
	"testing"
	"time"
)

// freshDir is a temporary folder.
func freshDir(b *testing.B) string { return b.TempDir() }

// processorTime isn't known.
func processorTime() time.Duration { return 0 }
