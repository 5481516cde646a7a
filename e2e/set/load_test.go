package set

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// probe makes one request on a connection of its own.
var probe = http.Client{Timeout: harness.ClientTimeout, Transport: &http.Transport{DisableKeepAlives: true}}

// load is a group of clients and the outcomes of their requests.
type load struct {
	mu       sync.Mutex
	requests int
	nodes    map[string]int // responses by node
	failures []error
	end      context.CancelFunc
	clients  sync.WaitGroup
}

// page is a file and its expected content.
type page struct {
	path string
	want []byte
}

// ask starts clients that request pages one after the other until the load ends, half of them with a new
// connection for each request.
func ask(t *testing.T, url string, clients int, pages []page) *load {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	l := &load{nodes: map[string]int{}, end: cancel}
	for i := range clients {
		transport := &http.Transport{DisableKeepAlives: i%2 == 0, MaxIdleConnsPerHost: 1}
		client := &http.Client{Transport: transport, Timeout: harness.InTime(20 * time.Second)}
		l.clients.Go(func() {
			defer transport.CloseIdleConnections()
			for n := i; ctx.Err() == nil; n++ {
				l.visit(client, url, pages[n%len(pages)])
			}
		})
	}
	t.Cleanup(func() { l.stop() })
	return l
}

// visit requests one page.
func (l *load) visit(client *http.Client, url string, p page) {
	node, err := get(client, url+p.path, p.want)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if err != nil {
		l.failures = append(l.failures, err)
		return
	}
	l.nodes[node]++
}

// get requests a page and returns the node that responded.
func get(client *http.Client, url string, want []byte) (node string, err error) {
	r, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	switch node = r.Header.Get("X-Node"); {
	case err != nil:
		return node, fmt.Errorf("%s from %q after %d bytes: %w", url, node, len(body), err)
	case r.StatusCode != 200:
		return node, fmt.Errorf("%s from %q: %s", url, node, r.Status)
	case !bytes.Equal(body, want):
		return node, fmt.Errorf("%s from %q: %d wrong bytes", url, node, len(body))
	}
	return node, nil
}

// stop ends the load, and returns the number of requests and the failures.
func (l *load) stop() (requests int, failures []error) {
	l.end()
	l.clients.Wait()
	return l.requests, l.failures
}

// more waits for n more requests.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	enough := l.requests + n
	l.mu.Unlock()
	harness.Await(t, 30*time.Second, "more requests", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.requests >= enough
	})
}

// mustSucceed ends the load, and reports failures and a wrong number of responding nodes.
func (l *load) mustSucceed(t *testing.T, nodes int) {
	t.Helper()
	requests, failures := l.stop()
	for _, err := range failures {
		t.Error(err)
	}
	t.Logf("%d requests, %d failed; by node: %v", requests, len(failures), l.nodes)
	if len(l.nodes) != nodes {
		t.Errorf("responses from %d nodes, want %d", len(l.nodes), nodes)
	}
}
