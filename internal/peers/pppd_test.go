package peers_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"outpost/internal/link"
	"outpost/internal/peers"
	"outpost/internal/ppp"
)

// pppdCall is a link to a pppd, with a stack on top.
type pppdCall struct {
	far   *peers.PPPDServer
	wire  *tap
	link  *ppp.Link
	given ppp.Addresses
	stack *link.Stack
}

// tap notes what is sent in clear of what asynchronous lines may want escaped.
type tap struct {
	*peers.PPPDServer
	mu       sync.Mutex
	controls int // octets below 0x20
}

func (w *tap) Write(p []byte) (int, error) {
	w.mu.Lock()
	for _, b := range p {
		if b < 0x20 {
			w.controls++
		}
	}
	w.mu.Unlock()
	return w.PPPDServer.Write(p)
}

// joe is who every pppd lets in.
func joe() ppp.Config { return ppp.Config{User: peers.PPPDUser, Password: peers.PPPDPassword} }

// callPPPD brings a link up.
func callPPPD(t testing.TB, far *peers.PPPDServer, cfg ppp.Config) *pppdCall {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	c := &pppdCall{far: far, wire: &tap{PPPDServer: far}}
	c.link = ppp.New(c.wire, cfg)
	var err error
	if c.given, err = c.link.Up(ctx); err != nil {
		t.Fatalf("PPP: %v", err)
	}
	if c.given.Local != far.Local || c.given.Peer != far.Peer || len(c.given.DNS) != 1 || c.given.DNS[0] != far.DNS {
		t.Errorf("given %+v, want %v, %v and %v", c.given, far.Local, far.Peer, far.DNS)
	}
	c.stack, err = link.NewStack(c.link, c.given.Local, link.StackOptions{MTU: c.given.MTU, Rate: cfg.Rate, RTT: cfg.RTT})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.stack.Close()
		_ = c.link.Close(context.WithoutCancel(t.Context()))
	})
	// pppd sets its interface up after it has agreed to the addresses. A SYN that is
	// earlier than that is lost, and a second of the test with it.
	far.AwaitLog(t, "remote IP address")
	return c
}

// dial connects to one of the guest's services. The connection ends with ctx.
func (c *pppdCall) dial(ctx context.Context, port uint16) (io.ReadWriteCloser, error) {
	conn, err := c.stack.DialContext(ctx, "tcp", c.far.At(port))
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn, nil
}

// download fetches n octets and compares each.
func (c *pppdCall) download(ctx context.Context, n int, seed uint64) error {
	conn, err := c.dial(ctx, peers.SourcePort)
	if err != nil {
		return fmt.Errorf("down: %w", err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%d %d\n", n, seed); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		return fmt.Errorf("down, after %d octets: %w", len(got), err)
	}
	if want := octets(n, seed); !bytes.Equal(got, want) {
		return fmt.Errorf("down: %d octets came, %d were sent, and they aren't the same", len(got), n)
	}
	return nil
}

// upload sends n octets, and the guest tells what it got.
func (c *pppdCall) upload(ctx context.Context, n int, seed uint64) error {
	conn, err := c.dial(ctx, peers.SinkPort)
	if err != nil {
		return fmt.Errorf("up: %w", err)
	}
	defer conn.Close()
	sent := octets(n, seed)
	if _, err := fmt.Fprintf(conn, "%d\n%s", n, sent); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("up: %w", err)
	}
	if answer != fmt.Sprintf("%x\n", sha256.Sum256(sent)) {
		return errors.New("up: what came isn't what was sent")
	}
	return nil
}

// octets are the first of peers.Random.
func octets(n int, seed uint64) []byte {
	all := make([]byte, n)
	_, _ = io.ReadFull(peers.Random(seed), all) // never ends
	return all
}

// exchange moves random octets both ways at once, and then, so that compression has
// something to do, text.
func (c *pppdCall) exchange(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	var both sync.WaitGroup
	for seed, move := range []func(context.Context, int, uint64) error{c.download, c.upload} {
		both.Go(func() {
			if err := move(ctx, n, uint64(seed)); err != nil { //nolint:gosec // 0 or 1
				t.Error(err)
			}
		})
	}
	both.Wait()
	if err := roundTrip(ctx, c.stack, c.far.At(peers.EchoPort), text(n)); err != nil {
		t.Errorf("text: %v", err)
	}
}

// goodbye ends the link as a session does.
func (c *pppdCall) goodbye(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	if err := c.link.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// TestPPPD is our PPP and our TCP against Debian's pppd and Linux' PPP and TCP.
// One guest has a line for each of the cases, which run side by side.
func TestPPPD(t *testing.T) {
	t.Parallel()
	guest := peers.StartGuest(t)
	for _, c := range agreements {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, guest)
		})
	}
	for name, test := range map[string]func(*testing.T, *peers.Guest){
		"web":                    testWeb,
		"pap, wrong password":    testWrongPassword("require-pap"),
		"chap, wrong password":   testWrongPassword("require-chap"),
		"mschap, wrong password": testWrongPassword("require-mschap-v2"),
		"only pap is ours":       testOnlyPAP,
		"only eap is theirs":     testOnlyEAP,
		"challenged again":       testChallengedAgain,
		"ended by the far end":   testMaxConnect,
		"hung up":                testHungUp,
		"waits before it is up":  testPassive,
		"restarted":              testRestarted,
		"echoes on a full line":  testEchoes,
		"octets that are others": testErrors,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, guest)
		})
	}
}

// exchanged is what each of the agreements carries, twice in each direction: once
// as random octets and once as text.
const exchanged = 50_000

// agreement is a pppd that wants something, and what the two ends have to make of it.
type agreement struct {
	name    string
	options string
	cfg     ppp.Config
	said    []string // expressions that pppd's log has to match
	unsaid  []string // and must not
	check   func(*testing.T, *pppdCall)
}

var agreements = []agreement{
	{name: "no authentication", said: []string{`rcvd \[LCP TermReq`}},
	{name: "pap", options: "require-pap", cfg: joe(), said: []string{`PAP peer authentication succeeded for joe`}},
	{name: "chap", options: "require-chap", cfg: joe(), said: []string{`auth chap MD5`, `sent \[CHAP Success`}},
	{name: "mschap-v2", options: "require-mschap-v2", cfg: joe(), said: []string{`auth chap MS-v2`, `sent \[CHAP Success[^]]*S=`}},
	{
		name: "asyncmap", options: "asyncmap ffffffff",
		unsaid: []string{`sent \[LCP ConfReq[^]]*asyncmap`}, // it is the default, and so left out
		check: func(t *testing.T, c *pppdCall) {
			if c.wire.controls > 0 {
				t.Errorf("%d control characters were sent in clear", c.wire.controls)
			}
		},
	},
	{
		name: "no field compression", options: "noaccomp nopcomp",
		said:   []string{`sent \[LCP ConfRej[^]]*<pcomp> <accomp>`},
		unsaid: []string{`ConfAck[^]]*(pcomp|accomp)`},
	},
	{name: "vj", said: []string{`rcvd \[IPCP ConfAck[^]]*compress VJ 0f 01`, `sent \[IPCP ConfAck[^]]*compress VJ 0f 01`}},
	{name: "no vj", options: "novj", unsaid: []string{`ConfAck[^]]*compress VJ`}},
	{name: "no vj of ours", cfg: ppp.Config{NoVJ: true}, said: []string{`sent \[IPCP ConfReq[^]]*compress VJ`}, unsaid: []string{`ConfAck[^]]*compress VJ`}},
	{
		name: "vj of 4 slots", options: "vj-max-slots 4",
		said:   []string{`rcvd \[IPCP ConfAck[^]]*compress VJ 03 01`, `sent \[IPCP ConfAck[^]]*compress VJ 03 01`},
		unsaid: []string{`ConfAck[^]]*compress VJ (0[4-9a-f]|[1-9a-f].)`},
	},
	{
		name: "vj without slot compression", options: "novjccomp",
		said:   []string{`rcvd \[IPCP ConfAck[^]]*compress VJ 0f 00`, `sent \[IPCP ConfAck[^]]*compress VJ 0f 00`},
		unsaid: []string{`ConfAck[^]]*compress VJ .. 01`},
	},
	{
		name: "mru", options: "mru 296", said: []string{`rcvd \[LCP ConfAck[^]]*<mru 296>`},
		check: func(t *testing.T, c *pppdCall) {
			if c.given.MTU != 296 {
				t.Errorf("our MTU is %d", c.given.MTU)
			}
		},
	},
	{
		name: "mru of ours", cfg: ppp.Config{MRU: 296}, said: []string{`sent \[LCP ConfAck[^]]*<mru 296>`},
	},
	{
		name: "deflate", options: "deflate 15", cfg: ppp.Config{Compress: true},
		said: []string{`rcvd \[CCP ConfAck[^]]*<deflate 15>`, `sent \[CCP ConfAck[^]]*<deflate 15>`, `Deflate \(15\) compression enabled`},
		check: func(t *testing.T, c *pppdCall) {
			// Half of it was text, and the other half can't be made shorter.
			if s := c.link.Stats(); s.OctetsIn >= 2*exchanged || s.OctetsOut >= 2*exchanged {
				t.Errorf("nothing was compressed: %+v", s)
			}
		},
	},
	{
		name: "deflate unwanted", options: "deflate 15",
		said: []string{`sent \[CCP ConfReq[^]]*<deflate 15>`, `rcvd \[LCP ProtRej id=\S+ 80 fd`},
	},
	{
		name: "bsdcomp only", options: "nodeflate bsdcomp 15", cfg: ppp.Config{Compress: true},
		said:   []string{`sent \[CCP ConfReq[^]]*<bsd v1 15>`, `rcvd \[CCP ConfRej[^]]*<bsd v1 15>`},
		unsaid: []string{`rcvd \[CCP ConfAck[^]]*<bsd`, `compression enabled`},
	},
	{
		name: "no compression", options: "noccp novj noaccomp nopcomp", unsaid: []string{`CCP ConfReq`},
	},
	{name: "silent", options: "silent"}, // we have to begin
}

func (a agreement) run(t *testing.T, guest *peers.Guest) {
	c := callPPPD(t, guest.PPPD(t, peers.PPPDOptions{Options: strings.Fields(a.options)}), a.cfg)
	c.exchange(t, exchanged)
	if s := c.link.Stats(); s.Oversized != 0 {
		t.Errorf("frames came that are longer than we take: %+v", s)
	}
	c.goodbye(t)
	c.far.AwaitLog(t, "LCP terminated by peer")
	for _, expression := range a.said {
		if !regexp.MustCompile(expression).MatchString(c.far.Log()) {
			t.Errorf("pppd's log doesn't have %s", expression)
		}
	}
	for _, expression := range a.unsaid {
		if found := regexp.MustCompile(expression).FindString(c.far.Log()); found != "" {
			t.Errorf("pppd's log has %s", found)
		}
	}
	if a.check != nil {
		a.check(t, c)
	}
}

// testWeb has an HTTP client of the standard library on our connections.
func testWeb(t *testing.T, guest *peers.Guest) {
	c := callPPPD(t, guest.PPPD(t, peers.PPPDOptions{}), ppp.Config{})
	client := &http.Client{Transport: &http.Transport{DialContext: c.stack.DialContext}, Timeout: upTimeout}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.far.At(peers.HTTPPort), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if page, err := io.ReadAll(response.Body); err != nil || string(page) != peers.HTTPPage {
		t.Errorf("%q, %v", page, err)
	}
}
