package set

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// content returns the files of the nodes: pages, and a film that is larger than all buffers on its way.
func content() (files map[string]string, pages []page, film page) {
	film = page{"/film.mp4", harness.Noise("film.mp4", 64<<20)}
	files = map[string]string{"film.mp4": string(film.want)}
	for name, size := range map[string]int{"index.html": 8 << 10, "style.css": 2 << 10, "photo.jpg": 512 << 10} {
		p := page{"/" + name, harness.Noise(name, size)}
		files[name], pages = string(p.want), append(pages, p)
	}
	return files, pages, film
}

// addresses returns replacements for the nodes' addresses in the example configurations. A check of HAProxy's gets
// more time than there is between two: a machine that stops for half a second would lose all nodes at once.
func (l *lab) addresses() (replace []string) {
	replace = []string{"retries 3", "timeout check 10s\n    retries 3"}
	for i, n := range l.nodes {
		replace = append(replace, fmt.Sprintf("192.0.2.%d", i+1), n.addr)
	}
	return replace
}

// TestRolling reloads, upgrades and restarts three nodes behind HAProxy under load, one after the other. One node
// has a slow and lossy link. No request fails.
func TestRolling(t *testing.T) {
	files, pages, film := content()
	l := newLab(t, 3, files)
	replace := l.addresses()
	replace[len(replace)-1] = l.slowLink(l.nodes[2], "10.77.0.203")
	b := l.balance("haproxy", "haproxy.cfg", replace...)
	clients := ask(t, "http://"+balancerAddr, 12, pages)
	d := download("http://"+balancerAddr, film)
	for _, n := range l.nodes {
		clients.more(t, 50)
		n.server.Signal(syscall.SIGHUP)
		clients.more(t, 50)
		n.server.Signal(syscall.SIGUSR2)
		clients.more(t, 50)
		n.restart()
		b.awaitUp(n)
	}
	clients.mustSucceed(t, 3)
	if err := d.rest(); err != nil {
		t.Errorf("download: %v", err)
	}
}

// TestBehindNginx restarts and upgrades three nodes behind nginx, which has no health checks but tries another
// node if it cannot connect. No request fails.
func TestBehindNginx(t *testing.T) {
	files, pages, _ := content()
	l := newLab(t, 3, files)
	l.balance("nginx", "nginx.conf", l.addresses()...)
	clients := ask(t, "http://"+balancerAddr, 8, pages)
	for _, n := range l.nodes {
		clients.more(t, 50)
		n.server.Signal(syscall.SIGUSR2)
		clients.more(t, 50)
		n.restart()
	}
	clients.mustSucceed(t, 3)
}

// TestNodeLost kills a node behind HAProxy under load. Only the requests that it was serving fail.
func TestNodeLost(t *testing.T) {
	files, pages, film := content()
	l := newLab(t, 3, files)
	b := l.balance("haproxy", "haproxy.cfg", l.addresses()...)
	var downloads []*slowDownload
	for range 9 {
		downloads = append(downloads, download("http://"+balancerAddr, film))
	}
	clients := ask(t, "http://"+balancerAddr, 12, pages)
	clients.more(t, 50) // the downloads must still be under way
	victim, mine := l.nodes[0], 0
	victim.kill()
	clients.more(t, 300)
	for i, d := range downloads {
		err := d.rest()
		if d.node == victim.name {
			mine++
		}
		if failed := err != nil; failed != (d.node == victim.name) {
			t.Errorf("download %d, of %s: %v", i, d.node, err)
		}
	}
	requests, failures := clients.stop()
	var lost []string
	harness.Holds(5*time.Second, func() bool { // HAProxy may log a request after the client has seen its end
		lost = slices.DeleteFunc(b.lines(), func(line string) bool { return !failed(line) || strings.Contains(line, film.path) })
		return len(lost) == len(failures)
	})
	for _, line := range lost {
		if !strings.Contains(line, "phalanx/"+victim.name+" ") {
			t.Errorf("a request failed on another node: %s", line)
		}
	}
	t.Logf("%d requests, of which %d failed on the killed node, as did %d of %d downloads", requests, len(failures), mine, len(downloads))
	if len(failures) != len(lost) || len(lost) > 12 || mine == 0 || mine == len(downloads) {
		t.Errorf("%d requests failed, HAProxy logged %d failures: %v", len(failures), len(lost), failures)
	}
}

// awaitUp waits until the balancer uses the node again.
func (b *balancer) awaitUp(n *node) {
	b.l.t.Helper()
	harness.Await(b.l.t, 10*time.Second, n.name+" up again", func() bool {
		up := false
		for _, line := range b.lines() {
			if strings.Contains(line, "Server phalanx/"+n.name+" is ") {
				up = strings.Contains(line, " is UP")
			}
		}
		return up
	})
}

// ended matches the termination state in a line of HAProxy's log; "----" means success.
var ended = regexp.MustCompile(` - - (....) `)

// failed reports whether a line of HAProxy's log is about a failed request.
func failed(line string) bool {
	state := ended.FindStringSubmatch(line)
	return state != nil && state[1] != "----"
}

// slowDownload is a download that is read at 1 to 2 MB/s until hurry is set.
type slowDownload struct {
	node   string // the node that sends it
	hurry  atomic.Bool
	result chan error
}

// download starts a download and returns once its response has begun.
func download(url string, p page) *slowDownload {
	d := &slowDownload{result: make(chan error, 1)}
	begun := make(chan string, 1)
	go func() {
		client := &http.Client{Transport: begins(func(r *http.Response) {
			begun <- r.Header.Get("X-Node")
			r.Body = &slowBody{r.Body, &d.hurry}
		})}
		_, err := get(client, url+p.path, p.want)
		d.result <- err
		close(begun)
	}()
	d.node = <-begun
	return d
}

// rest reads the rest at full speed.
func (d *slowDownload) rest() error {
	d.hurry.Store(true)
	return <-d.result
}

// begins is a transport that calls the function with each response.
type begins func(*http.Response)

// RoundTrip implements [http.RoundTripper].
func (f begins) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := probe.Transport.RoundTrip(r)
	if err == nil {
		f(response)
	}
	return response, err
}

type slowBody struct {
	io.ReadCloser
	hurry *atomic.Bool
}

// Read implements [io.Reader].
func (b *slowBody) Read(p []byte) (int, error) {
	if !b.hurry.Load() {
		time.Sleep(25 * time.Millisecond)
	}
	return b.ReadCloser.Read(p[:min(len(p), 64<<10)])
}
