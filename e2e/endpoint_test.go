package e2e

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

// endpoint is a master's admin address and a client of it, which opens a
// connection for each request.
type endpoint struct {
	t    *testing.T
	addr string // as --admin has it
	http http.Client
}

// endpointAt makes a client; a path has a slash, as for --admin.
func endpointAt(t *testing.T, addr string) *endpoint {
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
	return &endpoint{t, addr, http.Client{Transport: transport, Timeout: patience}}
}

// socketPath is where a master can make its admin socket.
func socketPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(openDir(t), "admin.sock")
}

// seen starts a master with an admin socket and returns when it serves.
func seen(t *testing.T, base string, args ...string) (*server, *endpoint) {
	t.Helper()
	path := socketPath(t)
	s := serve(t, base, append(args, "--admin", path)...)
	return s, endpointAt(t, path)
}

// ask sends a request and returns the status and the body.
func (e *endpoint) ask(method, target string) (int, string, error) {
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

// says reports whether a page has a status and a text now.
func (e *endpoint) says(target string, code int, body string) bool {
	c, b, err := e.ask("GET", target)
	return err == nil && c == code && strings.TrimSpace(b) == body
}

// mustSay is says for what has to be so at once.
func (e *endpoint) mustSay(target string, code int, body string) {
	e.t.Helper()
	c, b, err := e.ask("GET", target)
	if err != nil || c != code || strings.TrimSpace(b) != body {
		e.t.Errorf("%s answers %d %q, %v; want %d %q", target, c, b, err, code, body)
	}
}

// get decodes a page of JSON.
func (e *endpoint) get(target string, into any) error {
	code, body, err := e.ask("GET", target)
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

func (e *endpoint) pool() status.Pool {
	e.t.Helper()
	var p status.Pool
	if err := e.get("/status.json", &p); err != nil {
		e.t.Fatal(err)
	}
	return p
}

// connections is the list of a worker, and the time that it took.
func (e *endpoint) connections(slot, pid int) (status.Connections, time.Duration) {
	e.t.Helper()
	var list status.Connections
	began := time.Now()
	if err := e.get(fmt.Sprintf("/connections?slot=%d&pid=%d", slot, pid), &list); err != nil {
		e.t.Fatal(err)
	}
	return list, time.Since(began)
}

// order runs a command of master's at the endpoint.
func (e *endpoint) order(words ...string) outcome {
	e.t.Helper()
	return attempt(e.t, plan{args: append(words, "--admin", e.addr)})
}

// does expects an order to be done, and what it says of that.
func (o outcome) does(t *testing.T, line string) {
	t.Helper()
	if o.code != 0 || o.out != line+"\n" || o.err != "" {
		t.Errorf("%+v, want exit status 0 and %q", o, line)
	}
}

// mustBeGone expects that nothing is left at the path of a socket.
func (e *endpoint) mustBeGone() {
	e.t.Helper()
	if _, err := os.Lstat(e.addr); !os.IsNotExist(err) {
		e.t.Errorf("the socket %s is still there: %v", e.addr, err)
	}
}
