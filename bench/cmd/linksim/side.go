//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	fieldIP = "10.77.0.1"
	ispIP   = "10.77.0.2"
	// namespaces is where ip(8) keeps the names of network namespaces.
	namespaces = "/run/netns"
)

// side is one end of the line: a namespace, and in it the interface ppp0.
type side struct {
	name        string // of the namespace
	local, peer string // addresses
	mtu         int
	cc          string // TCP's congestion control
}

// newSide makes one end. Reading the file gives the packets that are sent there,
// writing delivers some.
func newSide(ctx context.Context, s side) (*os.File, error) {
	if err := ip(ctx, "netns", "add", s.name); err != nil {
		return nil, err
	}
	// No IPv6, so that no router solicitation crosses the metered line.
	for _, setting := range []string{
		"net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1",
		"net.ipv4.tcp_congestion_control=" + s.cc,
	} {
		if err := ip(ctx, "netns", "exec", s.name, "sysctl", "-qw", setting); err != nil {
			return nil, err
		}
	}
	type opened struct {
		tun *os.File
		err error
	}
	c := make(chan opened)
	go func() {
		// The thread moves into the namespace and is never unlocked, so that it
		// ends with this goroutine.
		runtime.LockOSThread()
		tun, err := openTUN(s.name, "ppp0")
		c <- opened{tun, err}
	}()
	o := <-c
	if o.err != nil {
		return nil, o.err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", s.local, "peer", s.peer, "dev", "ppp0"},
		{"link", "set", "ppp0", "mtu", strconv.Itoa(s.mtu), "up"},
		{"route", "add", "default", "dev", "ppp0"},
	} {
		if err := ip(ctx, append([]string{"-n", s.name}, args...)...); err != nil {
			return nil, err
		}
	}
	return o.tun, nil
}

// openTUN moves the thread into a namespace and makes an interface there. Reads
// of the file block the thread that makes them: between a packet and the line's
// clock there shall be no scheduler but the kernel's.
func openTUN(namespace, name string) (*os.File, error) {
	ns, err := os.Open(namespaces + "/" + namespace)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter namespace %s: %w", namespace, err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	tun := os.NewFile(uintptr(fd), "/dev/net/tun")
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, fmt.Errorf("make interface %s: %w", name, err)
	}
	return tun, nil
}

// allowCC lets namespaces other than the first choose a congestion control. It is
// the one setting of the machine that linksim changes, where it isn't so already.
func allowCC(cc string) error {
	const path = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	allowed := strings.Fields(string(b))
	if slices.Contains(allowed, cc) {
		return nil
	}
	return os.WriteFile(path, []byte(strings.Join(append(allowed, cc), " ")), 0o644)
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
