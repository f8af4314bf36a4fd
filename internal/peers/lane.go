package peers

import (
	"bytes"
	"io"
	"math/rand/v2"
	"time"
)

// lane is one direction of a serial line: it takes its time, and may damage what it
// carries. The zero value does neither.
type lane struct {
	rate   int           // bit/s, ten to an octet; 0: no limit
	delay  time.Duration // from the octet's end here to its end there
	errors float64       // share of octets that arrive as another one
	random *rand.Rand    // decides about errors; may be nil without them
}

const (
	// laneChunk is how much of the line's time is carried as one: half of what
	// internal/ppp's pacing, or a modem, lets pass at once.
	laneChunk = 20 * time.Millisecond
	// laneSlack is how late a timer of a busy machine may ring without the rate
	// suffering. After a longer pause the line was idle, and that time is gone.
	laneSlack = 50 * time.Millisecond
	// laneFlights bounds the chunks under way: twenty seconds of a line with a rate.
	laneFlights = 1000
	// laneOctets is the longest chunk on a line without a rate.
	laneOctets = 4096
)

// flight is a chunk on its way.
type flight struct {
	due    time.Time
	octets []byte
}

// carry takes what src gives to dst. It returns when all has arrived after src's
// end, when dst fails, or when stop is closed; whoever closes that ends a Read and a
// Write in progress too.
func (l lane) carry(dst io.Writer, src io.Reader, stop <-chan struct{}) {
	flying := make(chan flight, laneFlights)
	gone := make(chan struct{}) // nobody waits at the far end any more
	go func() {
		defer close(gone)
		arrive(dst, flying, stop)
	}()
	l.depart(flying, src, gone)
	close(flying)
	<-gone
}

// depart reads no faster than the line sends.
func (l lane) depart(flying chan<- flight, src io.Reader, gone <-chan struct{}) {
	free := time.Now() // when the line will have sent what it was given
	buf := make([]byte, l.chunk())
	for {
		n, err := src.Read(buf)
		if now := time.Now(); now.Sub(free) > laneSlack {
			free = now
		}
		free = free.Add(l.airtime(n))
		select {
		case flying <- flight{free.Add(l.delay), l.damage(bytes.Clone(buf[:n]))}:
		case <-gone:
			return
		}
		if err != nil || !sleep(free, gone) {
			return
		}
	}
}

// arrive writes each chunk when it is due.
func arrive(dst io.Writer, flying <-chan flight, stop <-chan struct{}) {
	for f := range flying {
		if !sleep(f.due, stop) {
			return
		}
		if _, err := dst.Write(f.octets); err != nil {
			return
		}
	}
}

func (l lane) chunk() int {
	if l.rate <= 0 {
		return laneOctets
	}
	return max(1, int(laneChunk)*l.rate/bitsPerOctet/int(time.Second))
}

// bitsPerOctet on an asynchronous line: start, eight bits, stop.
const bitsPerOctet = 10

func (l lane) airtime(octets int) time.Duration {
	if l.rate <= 0 {
		return 0
	}
	return time.Duration(octets) * bitsPerOctet * time.Second / time.Duration(l.rate)
}

// damage changes octets in place. Which ones, and to what, depends on how many came
// before them only: the same octets in the same order meet the same fate.
func (l lane) damage(octets []byte) []byte {
	if l.errors <= 0 {
		return octets
	}
	for i := range octets {
		if l.random.Float64() < l.errors {
			octets[i] ^= byte(1 + l.random.IntN(255))
		}
	}
	return octets
}

// fifo is the buffer of a serial port: what is written waits for the line, and who
// writes waits when it is full.
type fifo struct {
	octets chan byte
	closed <-chan struct{}
}

// fifoOctets is what a tty of Linux holds.
const fifoOctets = 4096

func newFIFO(closed <-chan struct{}) fifo { return fifo{make(chan byte, fifoOctets), closed} }

// Read waits for one octet, and takes what else is there.
func (f fifo) Read(p []byte) (int, error) {
	select {
	case p[0] = <-f.octets:
	case <-f.closed:
		return 0, io.EOF
	}
	for n := 1; n < len(p); n++ {
		select {
		case p[n] = <-f.octets:
		default:
			return n, nil
		}
	}
	return len(p), nil
}

// Write returns when all of p is in the buffer.
func (f fifo) Write(p []byte) (int, error) {
	for n, b := range p {
		select {
		case f.octets <- b:
		case <-f.closed:
			return n, io.ErrClosedPipe
		}
	}
	return len(p), nil
}

// sleep waits until then; false: it was stopped.
func sleep(then time.Time, stop <-chan struct{}) bool {
	wait := time.Until(then)
	if wait <= 0 {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}
