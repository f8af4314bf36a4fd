package modem

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// flow is a descriptor on the port beside the library's, which keeps its own to itself.
type flow struct{ fd int }

func openFlow(name string) flow {
	// Nonblocking, so that a port without a carrier does not keep us.
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return flow{fd: -1}
	}
	return flow{fd: fd}
}

// hardware switches RTS/CTS on. That it fails where there are no such lines is no fault.
func (f flow) hardware() {
	if f.fd < 0 {
		return
	}
	t, err := unix.IoctlGetTermios(f.fd, unix.TCGETS)
	if err != nil {
		return
	}
	t.Cflag |= unix.CRTSCTS
	_ = unix.IoctlSetTermios(f.fd, unix.TCSETS, t)
}

func (f flow) close() {
	if f.fd >= 0 {
		_ = unix.Close(f.fd)
	}
}

// holder finds another program that has the port open, as far as /proc shows it.
func holder(name string) string {
	own := "/proc/" + strconv.Itoa(os.Getpid()) + "/"
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err != nil || target != real || strings.HasPrefix(fd, own) {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		comm, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue
		}
		return strings.TrimSpace(string(comm)) + " (process " + pid + ")"
	}
	return ""
}
