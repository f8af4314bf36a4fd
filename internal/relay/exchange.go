package relay

import "net"

// flight is octets under way to the server: written by a goroutine of their own, so that replies are read meanwhile. Without that
// the two ends could wait for each other for ever, each with its buffers full (RFC 2920 §3.1).
type flight struct {
	done chan struct{}
}

func launch(conn net.Conn, p []byte) flight {
	f := flight{done: make(chan struct{})}
	go func() {
		defer close(f.done)
		// An error needs no words: whoever reads the reply gets them, from the server or from the connection's end.
		_, _ = conn.Write(p)
	}()
	return f
}

// land waits until nothing is written any more. After a failure the connection is closed, which ends the write at once.
func (f flight) land() { <-f.done }

// command sends one line and returns the reply to it. name stands for it in errors: the line may hold a secret.
func (c *Client) command(name, line string) (reply, *Error) {
	if c.err != nil {
		return reply{}, c.err
	}
	f := launch(c.conn, []byte(line+"\r\n"))
	defer f.land()
	return c.reply(name)
}

// reply reads the next reply, which answers name. The connection is over after an error, and after a 421, with which a server may
// answer anything before it closes (RFC 5321 §3.8); the 421 is returned all the same, as it is the answer.
func (c *Client) reply(name string) (reply, *Error) {
	if c.err != nil {
		return reply{}, c.err
	}
	rep, err := c.in.read()
	if err != nil {
		c.fail(lostError(name, c.line.Patience(), err))
		return reply{}, c.err
	}
	if rep.code == 421 {
		c.fail(replyError(name, rep))
	}
	return rep, nil
}
