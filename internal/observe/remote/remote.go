// Package remote is the client of the admin endpoint (docs/observe.md): it queries
// a running pool and sends it orders.
//
// A [Client] speaks HTTP over TCP or a unix socket, with one connection per
// request. Queries time out after three seconds; orders have no timeout but the
// caller's context. Every error is one line that names the endpoint, says what
// happened and, where it helps, what to do.
package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"phalanx/internal/observe/address"
	"phalanx/internal/observe/status"
	"phalanx/internal/observe/token"
)

const (
	lookTime = 3 * time.Second // for a query, and for connecting
	maxBody  = 64 << 20        // bytes of a response; 20,000 connections take a few MiB
	maxHead  = 64 << 10
)

// Client is a client of one admin endpoint. It is safe for concurrent use.
type Client struct {
	addr  address.Address
	http  http.Client
	token token.Token // "": none is sent

	// For tests.
	look  time.Duration
	limit int64
	pause time.Duration // between two checks whether the server has stopped
}

// New returns a client of the endpoint at a valid address. It does not connect.
func New(addr address.Address) *Client {
	c := &Client{addr: addr, look: lookTime, limit: maxBody, pause: 100 * time.Millisecond}
	network, where := addr.Net()
	dialer := net.Dialer{Timeout: lookTime}
	c.http = http.Client{
		// No proxy from the environment, no redirects to other hosts.
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, where)
			},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHead,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Authorize makes the client send a token.
func (c *Client) Authorize(t token.Token) { c.token = t }

// Pool returns a snapshot of the pool. If no server listens, the error wraps
// syscall.ECONNREFUSED or, for a missing unix socket, fs.ErrNotExist.
func (c *Client) Pool(ctx context.Context) (status.Pool, error) {
	var p status.Pool
	a, err := c.query(ctx, "/status.json", nil)
	switch {
	case err != nil:
		return p, err
	case a.code == http.StatusServiceUnavailable:
		return p, c.fail(nil, "the pool did not respond; it hangs, or is about to exit")
	case a.code != http.StatusOK:
		return p, c.notPhalanx(fmt.Sprintf("status %q", a.status))
	}
	if err := c.decode(a, &p); err != nil {
		return p, err
	}
	if p.PID == 0 || p.State == "" {
		return p, c.notPhalanx("unexpected JSON")
	}
	return p, nil
}

// Connections lists the connections of one worker, at most
// status.MaxConnections. While a worker is being replaced two processes share its
// slot, so both slot and pid are needed.
func (c *Client) Connections(ctx context.Context, slot, pid int) (status.Connections, error) {
	var list status.Connections
	a, err := c.query(ctx, "/connections", url.Values{"slot": {strconv.Itoa(slot)}, "pid": {strconv.Itoa(pid)}})
	if err != nil {
		return list, err
	}
	switch a.code {
	case http.StatusOK:
		return list, c.decode(a, &list)
	case http.StatusNotFound:
		return list, c.fail(nil, "worker %d (pid %d) no longer exists", slot, pid)
	case http.StatusServiceUnavailable:
		return list, c.fail(nil, "worker %d (pid %d) did not respond", slot, pid)
	}
	return list, c.notPhalanx(fmt.Sprintf("status %q", a.status))
}

// response is a complete response.
type response struct {
	code   int
	status string // "404 Not Found"
	kind   string // media type, without parameters
	body   []byte
}

// query sends a GET request with the timeout of queries.
func (c *Client) query(ctx context.Context, path string, query url.Values) (response, error) {
	limited, cancel := context.WithTimeout(ctx, c.look)
	defer cancel()
	a, err := c.do(limited, http.MethodGet, path, query)
	if err != nil {
		return response{}, c.explain(ctx, err)
	}
	if a.code == http.StatusUnauthorized {
		return response{}, c.unauthorized()
	}
	return a, nil
}

// do sends a request, whose host is that of the endpoint. Over the loopback interface the server
// accepts no name but localhost, and the name of this machine may have such an address: the
// request is then sent again to localhost.
func (c *Client) do(ctx context.Context, method, path string, query url.Values) (response, error) {
	host := "localhost"
	if !c.addr.Unix() {
		host = string(c.addr)
	}
	a, err := c.send(ctx, host, method, path, query)
	if err == nil && a.code == http.StatusMisdirectedRequest {
		return c.send(ctx, "localhost", method, path, query)
	}
	return a, err
}

// send sends one request. Its errors are those of net/http; explain turns them into
// sentences.
func (c *Client) send(ctx context.Context, host, method, path string, query url.Values) (response, error) {
	target := url.URL{Scheme: "http", Host: "localhost", Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return response{}, err
	}
	request.Host = host
	request.Header.Set("Accept", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", c.token.Field())
	}
	resp, err := c.http.Do(request)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.limit+1))
	switch {
	case err != nil:
		return response{}, err
	case int64(len(body)) > c.limit:
		return response{}, fmt.Errorf("%w: more than %d MiB", errLong, c.limit>>20)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return response{code: resp.StatusCode, status: resp.Status, kind: kind, body: body}, nil
}

// decode parses a JSON response.
func (c *Client) decode(a response, into any) error {
	if a.kind != "application/json" {
		return c.notPhalanx(fmt.Sprintf("Content-Type %q instead of application/json", a.kind))
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return c.notPhalanx("invalid JSON: " + err.Error())
	}
	return nil
}
