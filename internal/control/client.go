package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"outpost/queue"
)

// ErrNotRunning says that no daemon answers on the socket.
var ErrNotRunning = errors.New("the daemon is not running")

// ErrNoCall says that the ledger has no such call.
var ErrNoCall = errors.New("there is no such call in the ledger")

// ErrNotHeld says that no message of that ID waits for a decision.
var ErrNotHeld = errors.New("no such message is held")

// Client talks to a daemon. Its methods may be called from any goroutine.
type Client struct {
	http *http.Client
	path string
}

// NewClient makes a Client for the socket at path. It connects when asked.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks for the state of the office. ErrSilent: there is a daemon that hangs.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, silence, ErrSilent)
	defer cancel()
	return s, c.get(ctx, "/status", &s)
}

// Queue asks for the messages in the queue.
func (c *Client) Queue(ctx context.Context) (ms []queue.Message, err error) {
	return ms, c.get(ctx, "/queue", &ms)
}

// Calls asks for the newest rows of the ledger.
func (c *Client) Calls(ctx context.Context, limit int) (calls []queue.Call, err error) {
	return calls, c.get(ctx, fmt.Sprintf("/calls?limit=%d", limit), &calls)
}

// Call asks for one row of the ledger; 0 is the newest. ErrNoCall: there is none.
func (c *Client) Call(ctx context.Context, id uint64) (call queue.Call, err error) {
	return call, c.get(ctx, fmt.Sprintf("/calls/%d", id), &call)
}

// Held asks for what waits for a person's decision.
func (c *Client) Held(ctx context.Context) (held []Held, err error) {
	return held, c.get(ctx, "/held", &held)
}

// Decide lets a held message go, or not, and gives what that means. ErrNotHeld: there is none of that ID.
func (c *Client) Decide(ctx context.Context, id string, release bool) (text string, err error) {
	decision := "refuse"
	if release {
		decision = "release"
	}
	body, err := c.do(ctx, http.MethodPost, "/held/"+url.PathEscape(id)+"/"+decision)
	if err != nil {
		return "", err
	}
	defer body.Close()
	return text, json.NewDecoder(body).Decode(&text)
}

// Connect asks for a call, hands each event to onLine as it happens, and gives
// the last line.
func (c *Client) Connect(ctx context.Context, reason string, onLine func(Line)) (Line, error) {
	return c.follow(ctx, "/connect?reason="+url.QueryEscape(reason), func(l Line) {
		if l.Event != nil {
			onLine(l)
		}
	})
}

func (c *Client) get(ctx context.Context, path string, v any) error {
	body, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(v)
}

func (c *Client) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://outpost"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return nil, fmt.Errorf("%w (%w)", ErrNotRunning, op.Err)
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrSilent) {
		return nil, cause
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		if resp.StatusCode == http.StatusNotFound && strings.HasPrefix(path, "/calls/") {
			return nil, ErrNoCall
		}
		if resp.StatusCode == http.StatusNotFound && strings.HasPrefix(path, "/held/") {
			return nil, ErrNotHeld
		}
		return nil, errors.New("daemon: " + strings.TrimSpace(string(text)))
	}
	return resp.Body, nil
}
