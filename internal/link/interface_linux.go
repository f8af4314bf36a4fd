package link

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ifOctets gives the counters of an interface, headers of its own included where
// it has them (Ethernet's 14 octets; none on PPP).
func ifOctets(name string) (up, down int64, err error) {
	up, errUp := ifCounter(name, "tx_bytes")
	down, errDown := ifCounter(name, "rx_bytes")
	return up, down, errors.Join(errUp, errDown)
}

func ifCounter(name, counter string) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/sys/class/net", name, "statistics", counter))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// tie keeps a socket, whatever the routes say, on an interface (socket(7),
// SO_BINDTODEVICE). Before Linux 5.7 only root may, or who has CAP_NET_RAW.
func tie(fd uintptr, name string) error {
	return os.NewSyscallError("SO_BINDTODEVICE", unix.BindToDevice(int(fd), name)) //nolint:gosec // a descriptor
}

// pace makes the kernel send no faster than so many octets a second on a socket
// (tc-fq(8), SO_MAX_PACING_RATE; since Linux 4.13 TCP does it by itself).
func pace(fd uintptr, octets int) error {
	return os.NewSyscallError("SO_MAX_PACING_RATE", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, octets)) //nolint:gosec // a descriptor
}

// thrifty makes the kernel send fewer packets without payload on a socket that is not connected yet: the answer to the
// far end's SYN goes with our first octets, and acknowledgements wait a moment for company (tcp(7), TCP_QUICKACK).
func thrifty(fd uintptr) error {
	return os.NewSyscallError("TCP_QUICKACK", unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)) //nolint:gosec // a descriptor
}

// prompt ends that on a connected socket whose far end waits for the answer to its SYN.
func prompt(fd uintptr) error {
	for _, quick := range []int{1, 0} {
		if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, quick); err != nil { //nolint:gosec // as above
			return os.NewSyscallError("TCP_QUICKACK", err)
		}
	}
	return nil
}

// segmentSize is how many octets of payload the kernel puts into one segment of a connected socket.
func segmentSize(fd uintptr) (int, error) {
	n, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) //nolint:gosec // a descriptor
	return n, os.NewSyscallError("TCP_MAXSEG", err)
}
