//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// nameServer is an address of this host beside those of its lines, and what pppd
// tells its callers to ask for names.
var nameServer = netip.AddrFrom4([4]byte{10, 9, 9, 1})

// mount makes the file systems. The root belongs to the machine outside, and is
// read-only.
func mount() error {
	for _, m := range []struct{ kind, dir string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/var/run"}, {"tmpfs", "/tmp"},
	} {
		err := unix.Mount(m.kind, m.dir, m.kind, 0, "")
		if err != nil && !errors.Is(err, unix.EBUSY) { // the kernel may have mounted /dev itself
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	return nil
}

// insertModules adds what the kernel needs for PPP.
func insertModules() error {
	modules, err := filepath.Glob("/modules/*.ko") // sorted, and that is the order they need
	if err != nil {
		return err
	}
	for _, path := range modules {
		if err := insert(path); err != nil {
			return fmt.Errorf("module %s: %w", path, err)
		}
	}
	return nil
}

func insert(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

func setAddresses() error {
	return cmp.Or(
		setAddress("lo", netip.AddrFrom4([4]byte{127, 0, 0, 1})),
		setAddress("lo:1", nameServer),
	)
}

// setAddress gives an interface one address without a network around it, and
// switches it on.
func setAddress(name string, address netip.Addr) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	for _, set := range []struct {
		request uint
		value   []byte
	}{{unix.SIOCSIFADDR, address.AsSlice()}, {unix.SIOCSIFNETMASK, []byte{255, 255, 255, 255}}} {
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := r.SetInet4Addr(set.value); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, set.request, r); err != nil {
			return fmt.Errorf("address of %s: %w", name, err)
		}
	}
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

// terminal is a terminal that changes no octet, neither way.
type terminal struct {
	*os.File
	fd int // File.Fd would make it one whose reads can't be ended
}

func openTerminal(path string) (terminal, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return terminal{}, fmt.Errorf("open %s: %w", path, err)
	}
	t := terminal{os.NewFile(uintptr(fd), path), fd}
	mode := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200}
	mode.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &mode); err != nil {
		return terminal{}, errors.Join(err, t.Close())
	}
	return t, nil
}
