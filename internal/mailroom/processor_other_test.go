//go:build !linux

package mailroom

import "time"

// processorTime isn't known.
func processorTime() time.Duration { return 0 }
