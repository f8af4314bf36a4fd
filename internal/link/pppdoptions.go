package link

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// fastLine is the rate, in bit/s, from which on VJ's header compression (RFC 1144)
// saves too little to be worth what goes wrong with it.
const fastLine = 128_000

// arguments are pppd's options for one call, but for the secrets, which are in a
// file of options.
func (s *pppdSetup) arguments() []string {
	rate, rtt := s.Modem.Rate, s.Modem.RTT
	args := []string{
		"notty", "nodetach", "nopersist", "debug", "logfd", "2", // it gets no port, and talks to us
		"unit", strconv.Itoa(s.Unit),
		"noipdefault", "ipcp-accept-local", "ipcp-accept-remote", "usepeerdns",
		"noipv6", "noccp", // mail over TLS doesn't shrink
		// Two minutes of silence: satellite lines have been silent for 70 s in a good call.
		"lcp-echo-interval", "30", "lcp-echo-failure", "4",
	}
	if s.root {
		args = append(args, "noauth") // of the provider; only root may say so
	}
	// Short segments on slow lines, for the same reasons as in our own stack.
	if t := tune(rate, rtt); t.bounded {
		args = append(args, "mtu", strconv.Itoa(t.mss+tcpHeader))
	}
	if rate == 0 || rate >= fastLine {
		args = append(args, "novj")
	}
	// An answer takes a round trip and the time of both frames; pppd's own patience
	// of 3 s asks twice on a satellite.
	if restart := int(math.Ceil((2*rtt + time.Second).Seconds())); restart > 3 {
		for _, p := range []string{"lcp", "ipcp", "pap", "chap"} {
			args = append(args, p+"-restart", strconv.Itoa(restart))
		}
	}
	switch {
	case !s.DefaultRoute:
		args = append(args, "nodefaultroute")
	case s.root && !s.plainRoute.Load():
		args = append(args, "defaultroute", "replacedefaultroute")
	default:
		args = append(args, "defaultroute")
	}
	if s.Modem.PPP.User != "" {
		args = append(args, "file", s.secretsFile())
	}
	return append(args, s.Options...)
}

// secrets are the options that nobody else may see: a program's arguments stand in
// the list of processes, for all to read.
func (s *pppdSetup) secrets() string {
	return fmt.Sprintf("user %s\npassword %s\n", pppdQuote(s.Modem.PPP.User), pppdQuote(s.Modem.PPP.Password))
}

// pppdQuote writes a word as pppd reads it from a file (pppd(8), OPTIONS FILES).
func pppdQuote(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// hideSecrets writes the file of options, readable for its owner only, and gives
// what removes it. pppd has read it before it says or sends anything.
func (s *pppdSetup) hideSecrets() (remove func(), err error) {
	if s.Modem.PPP.User == "" {
		return func() {}, nil
	}
	name := s.secretsFile()
	remove = func() { _ = os.Remove(name) }
	remove() // one that a crash has left, and whose rights are not known
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(s.secrets())
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

func (s *pppdSetup) secretsFile() string { return s.file("options") }

// pidFile names the pppd that is running, for a start after a crash.
func (s *pppdSetup) pidFile() string { return s.file("pid") }

func (s *pppdSetup) file(ending string) string {
	return filepath.Join(s.Dir, "pppd-"+word(s.Modem.Name)+"."+ending)
}

// ifName is the interface's name, as the kernel makes it of the unit.
func (s *pppdSetup) ifName() string { return "ppp" + strconv.Itoa(s.Unit) }
