//go:build !linux

package modem

// holder cannot be found out here.
func holder(string) *PortUser { return nil }

// processName cannot be found out here.
func processName(int) string { return "" }
