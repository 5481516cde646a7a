package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/internal/observe/status"
)

// Endpoint is a client of a master's admin endpoint. It opens a connection for
// each request.
type Endpoint struct {
	t    *testing.T
	Addr string // as given to --admin
	http http.Client
}

// EndpointAt returns a client for an address as given to --admin: one with a
// slash is the path of a unix socket.
func EndpointAt(t *testing.T, addr string) *Endpoint {
	t.Helper()
	network := "tcp"
	if strings.Contains(addr, "/") {
		network = "unix"
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &Endpoint{t, addr, http.Client{Transport: transport, Timeout: ClientTimeout}}
}

// SocketPath returns a path at which a master can create its admin socket.
func SocketPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(OpenDir(t), "admin.sock")
}

// ServeWithAdmin starts a master with an admin socket and returns when it serves.
func ServeWithAdmin(t *testing.T, base string, args ...string) (*Server, *Endpoint) {
	t.Helper()
	path := SocketPath(t)
	s := Serve(t, base, append(args, "--admin", path)...)
	return s, EndpointAt(t, path)
}

// Ask sends a request and returns the status and the body.
func (e *Endpoint) Ask(method, target string) (int, string, error) {
	r, err := http.NewRequest(method, "http://localhost"+target, nil)
	if err != nil {
		return 0, "", err
	}
	reply, err := e.http.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(body), err
}

// Says reports whether a page has the given status and text now.
func (e *Endpoint) Says(target string, code int, body string) bool {
	c, b, err := e.Ask("GET", target)
	return err == nil && c == code && strings.TrimSpace(b) == body
}

// MustSay fails the test unless Says is true now.
func (e *Endpoint) MustSay(target string, code int, body string) {
	e.t.Helper()
	c, b, err := e.Ask("GET", target)
	if err != nil || c != code || strings.TrimSpace(b) != body {
		e.t.Errorf("%s answers %d %q, %v; want %d %q", target, c, b, err, code, body)
	}
}

// get fetches a page and decodes its JSON.
func (e *Endpoint) get(target string, into any) error {
	code, body, err := e.Ask("GET", target)
	if err == nil && code != 200 {
		err = fmt.Errorf("status %d: %s", code, body)
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	return nil
}

// Pool returns the decoded /status.json.
func (e *Endpoint) Pool() status.Pool {
	e.t.Helper()
	var p status.Pool
	if err := e.get("/status.json", &p); err != nil {
		e.t.Fatal(err)
	}
	return p
}

// Connections returns the connections of a worker, and how long the request took.
func (e *Endpoint) Connections(slot, pid int) (status.Connections, time.Duration) {
	e.t.Helper()
	var list status.Connections
	began := time.Now()
	if err := e.get(fmt.Sprintf("/connections?slot=%d&pid=%d", slot, pid), &list); err != nil {
		e.t.Fatal(err)
	}
	return list, time.Since(began)
}

// Order runs a subcommand of master with the endpoint's address.
func (e *Endpoint) Order(words ...string) Outcome {
	e.t.Helper()
	return Attempt(e.t, Plan{Args: append(words, "--admin", e.Addr)})
}

// MustBeGone fails the test if the admin socket still exists.
func (e *Endpoint) MustBeGone() {
	e.t.Helper()
	if _, err := os.Lstat(e.Addr); !os.IsNotExist(err) {
		e.t.Errorf("the socket %s is still there: %v", e.Addr, err)
	}
}
