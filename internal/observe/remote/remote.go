// Package remote is the operator's side of the admin endpoint
// (docs/observe.md): it looks at a running pool and gives it orders.
//
// A [Client] speaks HTTP over TCP or over a unix socket, one connection for
// each request, so that nothing of it lives on between two of them. A look has
// three seconds; an order takes as long as it takes. Every error is one line
// that names the endpoint, says what happened and, where it helps, what to do.
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
	"strings"
	"time"

	"phalanx/internal/observe/status"
)

const (
	lookTime = 3 * time.Second // for a look, and for reaching the endpoint at all
	maxBody  = 64 << 20        // bytes of an answer; twenty thousand connections are some MiB
	maxHead  = 64 << 10
)

// Client asks one admin endpoint. It may be used by several goroutines.
type Client struct {
	addr string
	unix bool
	http http.Client

	// For tests.
	look  time.Duration
	limit int64
	pause time.Duration // between two looks whether the server has stopped
}

// New makes a client of the endpoint at addr: HOST:PORT, or the path of a unix
// socket, which is anything with a slash. Nothing is connected yet, and a bad
// address is an error of the first request.
func New(addr string) *Client {
	c := &Client{addr: addr, unix: strings.Contains(addr, "/"), look: lookTime, limit: maxBody, pause: 100 * time.Millisecond}
	network := "tcp"
	if c.unix {
		network = "unix"
	}
	dialer := net.Dialer{Timeout: lookTime}
	c.http = http.Client{
		// Neither a proxy of the environment nor another host is of use here.
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, addr)
			},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHead,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Pool looks at the whole pool. When nobody listens, the error wraps
// syscall.ECONNREFUSED or, for a unix socket that is not there, fs.ErrNotExist.
func (c *Client) Pool(ctx context.Context) (status.Pool, error) {
	var p status.Pool
	a, err := c.glance(ctx, "/status.json", nil)
	switch {
	case err != nil:
		return p, err
	case a.code != http.StatusOK:
		return p, c.stranger(fmt.Sprintf("it answers %q", a.status))
	}
	if err := c.decode(a, &p); err != nil {
		return p, err
	}
	if p.PID == 0 || p.State == "" {
		return p, c.stranger("its answer is JSON of something else")
	}
	return p, nil
}

// Connections lists the connections of one worker, perhaps not all
// (status.MaxConnections). Two workers have one slot while one replaces the
// other, so both numbers name it.
func (c *Client) Connections(ctx context.Context, slot, pid int) (status.Connections, error) {
	var list status.Connections
	a, err := c.glance(ctx, "/connections", url.Values{"slot": {strconv.Itoa(slot)}, "pid": {strconv.Itoa(pid)}})
	if err != nil {
		return list, err
	}
	switch a.code {
	case http.StatusOK:
		return list, c.decode(a, &list)
	case http.StatusNotFound:
		return list, c.fail(nil, "there is no worker %d with pid %d (any more)", slot, pid)
	case http.StatusServiceUnavailable:
		return list, c.fail(nil, "worker %d (pid %d) does not answer", slot, pid)
	}
	return list, c.stranger(fmt.Sprintf("it answers %q", a.status))
}

// answer is a reply, read whole.
type answer struct {
	code   int
	status string // "404 Not Found"
	kind   string // media type, without parameters
	body   []byte
}

// glance is a request that has to be answered soon.
func (c *Client) glance(ctx context.Context, path string, query url.Values) (answer, error) {
	limited, cancel := context.WithTimeout(ctx, c.look)
	defer cancel()
	a, err := c.ask(limited, http.MethodGet, path, query)
	if err != nil {
		return answer{}, c.explain(ctx, err)
	}
	return a, nil
}

// ask makes one request. Its errors are those of net/http; explain makes
// sentences of them.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values) (answer, error) {
	host := "localhost"
	if !c.unix {
		name, port, err := net.SplitHostPort(c.addr)
		if err != nil {
			return answer{}, errAddress
		}
		if name != "" {
			host = net.JoinHostPort(name, port)
		}
	}
	target := url.URL{Scheme: "http", Host: "localhost", Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return answer{}, err
	}
	request.Host = host
	request.Header.Set("Accept", "application/json")
	reply, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, c.limit+1))
	switch {
	case err != nil:
		return answer{}, err
	case int64(len(body)) > c.limit:
		return answer{}, fmt.Errorf("%w: more than %d MiB", errLong, c.limit>>20)
	}
	kind, _, _ := mime.ParseMediaType(reply.Header.Get("Content-Type"))
	return answer{code: reply.StatusCode, status: reply.Status, kind: kind, body: body}, nil
}

// decode reads JSON out of an answer that ought to be some.
func (c *Client) decode(a answer, into any) error {
	if a.kind != "application/json" {
		return c.stranger(fmt.Sprintf("its answer is %q, not JSON", a.kind))
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return c.stranger("its answer is no JSON of a pool: " + err.Error())
	}
	return nil
}
