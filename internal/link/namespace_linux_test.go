package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"outpost/internal/peers"
)

// apart runs the test that calls it in a network namespace of its own, with
// nothing but a loopback that is down, and says whether this is there. It needs
// root, and the ip command.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv("OUTPOST_TEST_APART") == t.Name() {
		// What /sys shows of the network is of the namespace it was mounted in.
		if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("sysfs", "/sys", "sysfs", 0, "")); err != nil {
			t.Fatal(err)
		}
		system(t, "ip", "link", "set", "lo", "up")
		return true
	}
	peers.NeedRoot(t, "only root makes network namespaces")
	peers.Need(t, "ip")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), "OUTPOST_TEST_APART="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// system runs a command of the system.
func system(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil { //nolint:gosec // the test's own
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

// tunnel is an interface of the kernel's, switched off, whose packets come to us.
type tunnel struct{ *os.File }

func (d tunnel) ReadPacket(p []byte) (int, error) { return d.Read(p) }

func (d tunnel) WriteNext(next func() []byte) error {
	p := next()
	if p == nil {
		return nil
	}
	_, err := d.Write(p)
	if errors.Is(err, unix.EIO) { // it is switched off: the packet is lost
		return nil
	}
	return err
}

func newTunnel(t *testing.T, name string) tunnel {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		t.Fatal(err)
	}
	return tunnel{os.NewFile(uintptr(fd), name)}
}

// farHost is a host beyond a tunnel, with an echo service and a name server that
// knows echo.example.
func farHost(t *testing.T, pc PacketConn) *Stack {
	t.Helper()
	s, err := NewStack(pc, farAddr, StackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	echo, err := s.ListenTCP(7)
	if err != nil {
		t.Fatal(err)
	}
	names, err := s.ListenUDP(portDNS)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() { serveEcho(echo) })
	work.Go(func() { (&nameServer{answer: address("echo.example.", farAddr)}).serve(names) })
	t.Cleanup(func() {
		s.Close()
		work.Wait()
	})
	return s
}

// A line of the real thing: the kernel's interface and routes, ip(8) as the
// commands, names and connections over it.
func TestNetLineInNamespace(t *testing.T) {
	peers.Need(t, "nft")
	if !apart(t) {
		return
	}
	tun := newTunnel(t, "wan0")
	defer tun.Close()
	farHost(t, tun)
	mark := filepath.Join(t.TempDir(), "mark")
	// The default route leads elsewhere: what isn't kept on the interface is lost.
	lan := newTunnel(t, "lan0")
	defer lan.Close()
	system(t, "ip", "addr", "add", "192.168.1.1/24", "dev", "lan0")
	system(t, "ip", "link", "set", "lan0", "up")
	system(t, "ip", "route", "add", "default", "dev", "lan0")
	l := NewNetLine(NetConfig{
		Name: "vsat", Interface: "wan0", CommandLimit: time.Minute, AddressLimit: time.Minute,
		UpCommand:   []string{"sh", "-c", fmt.Sprintf("ip addr add %s/32 dev $OUTPOST_INTERFACE && ip link set $OUTPOST_INTERFACE up && ip route add default dev wan0 metric 4000 && echo $OUTPOST_LINE is up", nearAddr)},
		DownCommand: []string{"sh", "-c", "echo no; test -e " + mark + " && ip addr flush dev wan0 && ip link set wan0 down"},
		DNS:         []netip.Addr{farAddr}, Rate: 1_000_000, Guard: true,
	})
	for range 2 {
		os.Remove(mark)
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatalf("%v\n%s", err, l.Transcript())
		}
		c, err := l.DialContext(t.Context(), "tcp", "echo.example:7")
		if err != nil {
			t.Fatal(err)
		}
		if err := sends(t, 65534); !errors.Is(err, unix.EPERM) {
			t.Errorf("somebody else sends on the line: %v", err)
		}
		wantTied(t, c, "wan0", l.cfg.Rate/8)
		text := make([]byte, 50_000)
		echoes(t, c, text)
		up, down := l.Counters()
		headers := int64(40 * 50_000 / 1460)
		if least := int64(len(text)) + headers; up < least || down < least || up > 2*least {
			t.Errorf("%d octets up, %d down: less than was echoed, with its headers, or far more", up, down)
		}
		if _, err := l.DialContext(t.Context(), "tcp", "nowhere.example:7"); kindIn(err) != UnknownHost && kindIn(err) != NameFailure {
			t.Errorf("a name that isn't there: %v", err)
		}
		if _, err := l.DialContext(t.Context(), "tcp", farAddr.String()+":9"); kindIn(err) != Refused {
			t.Errorf("a port where nobody listens: %v", err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			failed <- err
		}()
		system(t, "ip", "link", "set", "wan0", "down")
		if took, lost := lostIn(l, time.Minute); !lost || took > 3*time.Second {
			t.Errorf("lost: %v, after %v", lost, took)
		}
		if err := <-failed; kindIn(err) != LineLost || !errors.Is(err, errGone) {
			t.Errorf("a read on a lost line: %v", err)
		}
		system(t, "ip", "link", "set", "wan0", "up") // it isn't down yet
		var open *DownError
		if err := l.Down(t.Context()); !errors.As(err, &open) {
			t.Errorf("a down_command that fails: %v", err)
		}
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.Down(context.Background()); err != nil {
			t.Errorf("%v\n%s", err, l.Transcript())
		}
		if u, v := l.Counters(); u < up || v < down {
			t.Errorf("after the end %d octets up, %d down", u, v)
		}
		if lookAt("wan0").ready() {
			t.Error("wan0 is up")
		}
		if out, err := exec.CommandContext(t.Context(), "nft", "list", "tables").Output(); err != nil || len(out) > 0 {
			t.Errorf("after the end there are the tables %s, %v", out, err)
		}
	}
	for _, want := range []string{"< vsat is up", "-- wan0 has [10.1.0.2]", "-- failed after"} {
		if !strings.Contains(l.Transcript(), want) {
			t.Errorf("no %q in:\n%s", want, l.Transcript())
		}
	}
}

// wantTied checks what the kernel was told of a connection.
func wantTied(t *testing.T, c net.Conn, iface string, octets int) {
	t.Helper()
	raw, err := c.(*hostConn).Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if got, err := unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err != nil || got != iface {
			t.Errorf("the connection is kept on %q, %v", got, err)
		}
		if got, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE); err != nil || got != octets || octets == 0 {
			t.Errorf("the connection is paced at %d octets a second, %v; want %d", got, err, octets)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
