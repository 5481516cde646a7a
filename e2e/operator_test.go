package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// operator is who looks into a server through its admin endpoint, and
// gives it orders.
type operator struct {
	*server
	endpoint string // a path, or an address and a port
	http     http.Client
}

// operated starts a server without -v that has an admin endpoint on a unix
// socket, and returns when it serves.
func operated(t *testing.T, p plan) *operator {
	t.Helper()
	return operatedAt(t, p, "unix", filepath.Join(openDir(t), "admin"))
}

// operatedAt is operated with an endpoint at an address of another network.
func operatedAt(t *testing.T, p plan, network, addr string) *operator {
	t.Helper()
	o := &operator{endpoint: addr}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	o.http = http.Client{Transport: transport, Timeout: patience}
	t.Cleanup(transport.CloseIdleConnections)
	p.args = append(p.args, "--admin", o.endpoint)
	o.server = serveSilently(t, p)
	return o
}

// read fetches a path of the endpoint.
func (o *operator) read(path string) ([]byte, error) {
	r, err := o.http.Get("http://localhost" + path)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != 200 {
		err = fmt.Errorf("GET %s: %s: %s", path, r.Status, body)
	}
	return body, err
}

// order runs one of the master's commands.
func (o *operator) order(words ...string) {
	o.t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "master"), append(words, "--admin", o.endpoint)...)
	cmd.Env = bareEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Errorf("%q: %v: %s", words, err, out)
	}
}

// picture is what /status.json says, as far as the tests need it.
type picture struct {
	State   string
	Slots   int
	Reloads int
	PID     int
	Total   struct {
		Requests                           map[string]int64
		Answered, Cut, Bytes               int64
		Accepted, Adopted, Timeouts, Drops int64
		LogLost                            int64 `json:"log_lost"`
		Active, Idle                       int
	}
	Workers []struct {
		Slot, PID, Active int
		State             string
		Oldest            *struct {
			Line string
			Age  float64
		}
	}
}

func (o *operator) look() picture {
	o.t.Helper()
	text, err := o.read("/status.json")
	var p picture
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		o.t.Fatalf("look at the pool: %v", err)
	}
	return p
}

// series are the values of a scrape by name and labels.
type series map[string]float64

func (o *operator) scrape() (series, error) {
	text, err := o.read("/metrics")
	if err != nil {
		return nil, err
	}
	all := series{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		space := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil || space < 0 {
			return nil, fmt.Errorf("metrics: line %q", line)
		}
		if _, twice := all[line[:space]]; twice {
			return nil, fmt.Errorf("metrics: %s is there twice", line[:space])
		}
		all[line[:space]] = value
	}
	return all, nil
}

func (o *operator) mustScrape() series {
	o.t.Helper()
	all, err := o.scrape()
	if err != nil {
		o.t.Fatal(err)
	}
	return all
}

// sum adds up the series of a name, or those of them that have a label.
func (all series) sum(name string, labels ...string) (sum float64) {
	for key, value := range all {
		base, rest, _ := strings.Cut(key, "{")
		missing := slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(rest, label) })
		if base == name && !missing {
			sum += value
		}
	}
	return sum
}

// cumulative reports whether a series is one that may never go down.
func cumulative(key string) bool {
	name, _, _ := strings.Cut(key, "{")
	for _, suffix := range []string{"_total", "_bucket", "_count", "_sum"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// watcher scrapes a server all the time.
type watcher struct {
	*operator
	quit   chan struct{}
	joined sync.WaitGroup
	once   sync.Once
	last   series
	count  int
}

// watch scrapes every 20 ms until the watcher leaves, and fails the test when a
// scrape fails, or when something that only grows goes down or is no longer
// there.
func (o *operator) watch() *watcher {
	w := &watcher{operator: o, quit: make(chan struct{})}
	o.t.Cleanup(w.leave)
	w.joined.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			w.glance()
			select {
			case <-w.quit:
				return
			case <-tick.C:
			}
		}
	})
	return w
}

func (w *watcher) glance() {
	now, err := w.scrape()
	if err != nil {
		w.t.Errorf("scrape %d: %v", w.count, err)
		return
	}
	w.count++
	for key, before := range w.last {
		if value, there := now[key]; cumulative(key) && (!there || value < before || math.IsNaN(value)) {
			w.t.Errorf("scrape %d: %s is %v, and was %v; there: %v", w.count, key, value, before, there)
		}
	}
	w.last = maps.Clone(now)
}

func (w *watcher) leave() {
	w.once.Do(func() { close(w.quit) })
	w.joined.Wait()
}
