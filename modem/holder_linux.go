package modem

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holder finds another process that has the port open, as far as /proc shows it: the
// user's own and, to root, all. Nil: none is seen.
func holder(device string) *PortUser {
	real, err := filepath.EvalSymlinks(device)
	if err != nil {
		return nil
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err != nil || target != real {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(fd, "/")[2])
		if err != nil || pid == os.Getpid() {
			continue
		}
		return &PortUser{Name: processName(pid), PID: pid}
	}
	return nil
}

// processName is what a process is called, "" when that cannot be found out.
func processName(pid int) string {
	comm, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(comm))
}
