package isp

import (
	"net"
	"net/netip"
	"sync"
)

// maxConnections is how many connections a host serves at once; more are
// closed ungreeted. Each may hold one message of Options.MaxMessageBytes.
const maxConnections = 64

// network is where a host's sockets are opened: the TCP/IP stack of a call,
// or the loopback interface.
type network interface {
	ListenTCP(port uint16) (net.Listener, error)
	ListenUDP(port uint16) (net.PacketConn, error)
}

// host is the provider's services on one network. All goroutines of it and
// its connections have ended when close returns.
type host struct {
	p  *Provider
	wg sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	closers []interface{ Close() error } // listeners and sockets
	conns   map[net.Conn]string          // with the service that each has
}

// service is what a host offers on a TCP port.
type service struct {
	port  uint16
	name  string
	serve func(net.Conn)
	down  func(Faults) bool
	most  func(Faults) int // connections at once; nil: no limit of its own
	count func(*Counters)
}

// services are the ports that the options call for.
func (p *Provider) services() []service {
	smtp := func(port uint16, serve func(net.Conn)) service {
		return service{port: port, name: "smtp", serve: serve,
			down:  func(f Faults) bool { return f.SMTPDown },
			count: func(c *Counters) { c.SMTPConnections++ }}
	}
	pop := func(port uint16, serve func(net.Conn)) service {
		return service{port: port, name: "pop3", serve: serve,
			down:  func(f Faults) bool { return f.POPDown },
			most:  func(f Faults) int { return f.POPAtOnce },
			count: func(c *Counters) { c.POPConnections++ }}
	}
	plainSMTP := func(c net.Conn) { p.serveSMTP(c, false) }
	plainPOP := func(c net.Conn) { p.servePOP(c, false) }
	all := []service{smtp(25, plainSMTP), smtp(587, plainSMTP), pop(110, plainPOP)}
	if p.opt.TLS == TLSImplicit {
		all = append(all, smtp(465, p.serveSMTPS), pop(995, p.servePOPS))
	}
	return all
}

// open starts every service on n; hosts' names resolve to addr.
func (p *Provider) open(n network, addr netip.Addr) (*host, error) {
	h := &host{p: p, conns: make(map[net.Conn]string)}
	z := zone{domain: p.opt.Domain, addr: addr}
	f := p.fault()
	all := append(p.services(), service{port: 53, name: "dns",
		serve: func(c net.Conn) { p.serveNamesTCP(c, z) },
		down:  func(Faults) bool { return false },
		count: func(*Counters) {}})
	for _, s := range all {
		if s.down(f) {
			continue
		}
		l, err := n.ListenTCP(s.port)
		if err != nil {
			h.close()
			return nil, err
		}
		h.listen(l, s)
	}
	pc, err := n.ListenUDP(53)
	if err != nil {
		h.close()
		return nil, err
	}
	h.closers = append(h.closers, pc)
	h.wg.Go(func() { p.serveNames(pc, z) })
	return h, nil
}

// listen serves what comes in on l until that is closed.
func (h *host) listen(l net.Listener, s service) {
	h.closers = append(h.closers, l)
	h.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !h.track(conn, s) {
				_ = conn.Close()
				continue
			}
			h.p.count(s.count)
			h.p.log.Debug("connection", "service", s.name, "port", s.port)
			h.wg.Go(func() {
				defer h.untrack(conn)
				s.serve(patient{conn})
			})
		}
	})
}

// track remembers a connection so that close can end it; false: not wanted.
func (h *host) track(conn net.Conn, s service) bool {
	f := h.p.fault()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || s.down(f) || len(h.conns) >= maxConnections {
		return false
	}
	if s.most != nil {
		same := 0
		for _, name := range h.conns {
			if name == s.name {
				same++
			}
		}
		if most := s.most(f); most > 0 && same >= most {
			return false
		}
	}
	h.conns[conn] = s.name
	return true
}

func (h *host) untrack(conn net.Conn) {
	_ = conn.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, conn)
}

// close ends the services and their connections, at once, and waits until
// all their goroutines are gone.
func (h *host) close() {
	h.mu.Lock()
	h.closed = true
	for conn := range h.conns {
		_ = conn.Close()
	}
	h.mu.Unlock()
	for _, c := range h.closers {
		_ = c.Close()
	}
	h.wg.Wait()
}
