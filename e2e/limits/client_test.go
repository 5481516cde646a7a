package limits

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// The addresses of the clients; the server counts each as a client of its own.
const (
	attacker = "127.0.0.1" // also slowhttptest's
	visitor  = "127.0.0.9"
)

const front = "a page for everybody"

// tree returns a document root with a page and a large sparse file.
func tree(t *testing.T) string {
	t.Helper()
	dir := harness.Tree(t, map[string]string{"index.html": front})
	harness.Sparse(t, dir+"/large.bin", 1<<30)
	return dir
}

// from connects from a client's address, with a receive buffer of the given size in bytes; 0 keeps the default.
func from(ctx context.Context, client string, port, buffer int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			if buffer > 0 {
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer)
			}
		})
	}}
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// hold connects from a client's address, and reports whether a request on the connection is served.
func hold(t *testing.T, client string, port int) (net.Conn, bool) {
	t.Helper()
	c, err := from(t.Context(), client, port, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, ask(c)
}

// ask sends a request, and reports whether it is served.
func ask(c net.Conn) bool {
	c.SetDeadline(time.Now().Add(harness.ClientTimeout))
	if _, err := io.WriteString(c, harness.Request("GET", "/")); err != nil {
		return false
	}
	text := make([]byte, 0, 4096)
	for !strings.HasSuffix(string(text), front) {
		n, err := c.Read(text[len(text):cap(text)])
		if text = text[:len(text)+n]; err != nil {
			return false
		}
	}
	return strings.HasPrefix(string(text), "HTTP/1.1 200 ")
}

// visits are the requests of a well-behaved client, each on a new connection.
type visits struct {
	took   []time.Duration
	failed int
}

// visit sends one request after another until ctx ends.
func visit(ctx context.Context, port int) (v visits) {
	for ctx.Err() == nil {
		began := time.Now()
		c, err := from(context.Background(), visitor, port, 0)
		ok := err == nil && ask(c)
		if err == nil {
			c.Close()
		}
		if v.took = append(v.took, time.Since(began)); !ok {
			v.failed++
		}
		time.Sleep(5 * time.Millisecond) // between two pages
	}
	slices.Sort(v.took)
	return v
}

// quantile returns the q-quantile of the times that requests took.
func (v visits) quantile(q float64) time.Duration {
	if len(v.took) == 0 {
		return 0
	}
	return v.took[int(q*float64(len(v.took)-1))]
}

// openMany opens n connections as fast as it can, sends the same text on each, and replaces each
// connection that the server closes, until ctx ends. It reads nothing.
func openMany(ctx context.Context, port, n, buffer int, text string) {
	const dialers = 8
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range dialers {
		wg.Go(func() {
			open := make([]net.Conn, 0, n/dialers+1)
			defer func() {
				for _, c := range open {
					c.Close()
				}
			}()
			for next := 0; ctx.Err() == nil; next++ {
				if mine := (n + i) / dialers; len(open) >= mine {
					// Check one connection in each turn: has the server closed it?
					next %= len(open)
					if c := open[next]; !closed(c) {
						continue
					}
					open[next].Close()
					open = slices.Delete(open, next, next+1)
				}
				c, err := from(ctx, attacker, port, buffer)
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				io.WriteString(c, text)
				open = append(open, c)
			}
		})
	}
}

// closed reports whether the server has closed a connection. If not, it sleeps for a
// millisecond first.
func closed(c net.Conn) bool {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	var n int
	var b [1]byte
	raw.Control(func(fd uintptr) {
		n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	if err == syscall.EAGAIN || n > 0 {
		time.Sleep(time.Millisecond)
		return false
	}
	return true
}
