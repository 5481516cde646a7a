package http2

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// The transports of HTTP/2.
const (
	overTLS = "tls"
	inClear = "clear"
)

// ways runs a test over each transport, with a server of its own.
func ways(t *testing.T, base string, test func(t *testing.T, s *harness.Server, way string), args ...string) {
	for _, way := range []string{overTLS, inClear} {
		t.Run(way, func(t *testing.T) { test(t, serve(t, base, way, args...), way) })
	}
}

// serve starts a server whose only address is for one of the transports.
func serve(t *testing.T, base, way string, args ...string) *harness.Server {
	t.Helper()
	address := "http://127.0.0.1:0"
	if way == overTLS {
		address = "https://127.0.0.1:0"
		args = append(args, "--tls-self-signed")
	}
	return harness.ServeAs(t, harness.Plan{Args: append([]string{"--base", base, "--listen", address, "-v"}, args...)})
}

// website returns a document root with several kinds of files; big.bin has n bytes.
func website(t *testing.T, n int) (base string, big []byte) {
	t.Helper()
	big = harness.Noise("http2", n)
	base = harness.Tree(t, map[string]string{
		"index.html": "front", "a.txt": "0123456789", "empty.txt": "", "404.html": "<p>ours</p>",
		"app.js": strings.Repeat("let a;", 1000), "app.js.gz": "gzip", "sub/x.txt": "x", "many/1.txt": "1", "many/2.txt": "2", "big.bin": string(big),
	})
	for _, name := range harness.FilesOf(t, base) {
		harness.Aged(t, filepath.Join(base, name))
	}
	return base, big
}

// client is Go's HTTP client.
type client struct {
	*http.Client
	dialed atomic.Int64 // connections opened
}

// newClient returns a client that speaks one version of HTTP: 1 or 2.
func newClient(t *testing.T, version int) *client {
	t.Helper()
	c := &client{}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == 1)
	protocols.SetHTTP2(version == 2)
	protocols.SetUnencryptedHTTP2(version == 2)
	dialer := &net.Dialer{Timeout: time.Minute}
	transport := &http.Transport{
		Protocols: protocols, DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c.dialed.Add(1)
			return dialer.DialContext(ctx, network, addr)
		},
	}
	c.Client = &http.Client{
		Transport: transport, Timeout: 5 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// get returns a response and its body.
func (c *client) get(url string) (*http.Response, []byte, error) {
	r, err := c.Get(url)
	if err != nil {
		return nil, nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r, body, err
}

// run returns the output of a program that has to succeed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	path := harness.Tool(t, "run sh scripts/test-tools.sh", name)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// start starts a program and kills it when the test ends.
func start(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(harness.Tool(t, "run sh scripts/test-tools.sh", name), args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		if cmd.Wait(); t.Failed() {
			t.Logf("output of %s:\n%s", name, &out)
		}
	})
}
