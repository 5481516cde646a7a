package harness

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

// Operator is a server with a client of its admin endpoint.
type Operator struct {
	*Server
	Endpoint string // a path, or an address with port
	HTTP     http.Client
}

// Operated starts a server without -v that has an admin endpoint on a unix
// socket, and returns when it serves.
func Operated(t *testing.T, p Plan) *Operator {
	t.Helper()
	return OperatedAt(t, p, "unix", filepath.Join(OpenDir(t), "admin"))
}

// OperatedAt is Operated with the admin endpoint at the given address.
func OperatedAt(t *testing.T, p Plan, network, addr string) *Operator {
	t.Helper()
	o := &Operator{Endpoint: addr}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	o.HTTP = http.Client{Transport: transport, Timeout: ClientTimeout}
	t.Cleanup(transport.CloseIdleConnections)
	p.Args = append(p.Args, "--admin", o.Endpoint)
	o.Server = ServeSilently(t, p)
	return o
}

// Read fetches a path of the endpoint. A status other than 200 is an error.
func (o *Operator) Read(path string) ([]byte, error) {
	r, err := o.HTTP.Get("http://localhost" + path)
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

// Order runs a subcommand of master with the endpoint's address.
func (o *Operator) Order(words ...string) {
	o.T.Helper()
	cmd := exec.Command(Binary("master"), append(words, "--admin", o.Endpoint)...)
	cmd.Env = BareEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		o.T.Errorf("%q: %v: %s", words, err, out)
	}
}

// Snapshot is the part of /status.json that the tests need.
type Snapshot struct {
	State   string
	Slots   int
	Reloads int
	PID     int
	Total   struct {
		Requests                   map[string]int64
		Answered, Truncated, Bytes int64
		Accepted                   int64
		LogLost                    int64 `json:"log_lost"`
		Active, Idle               int
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

// Snapshot fetches /status.json.
func (o *Operator) Snapshot() Snapshot {
	o.T.Helper()
	text, err := o.Read("/status.json")
	var p Snapshot
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		o.T.Fatalf("fetch the pool's status: %v", err)
	}
	return p
}

// Series maps the series of a scrape, as name and labels, to their values.
type Series map[string]float64

func (o *Operator) scrape() (Series, error) {
	text, err := o.Read("/metrics")
	if err != nil {
		return nil, err
	}
	all := Series{}
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
			return nil, fmt.Errorf("metrics: %s occurs twice", line[:space])
		}
		all[line[:space]] = value
	}
	return all, nil
}

// MustScrape reads all metrics; an error fails the test.
func (o *Operator) MustScrape() Series {
	o.T.Helper()
	all, err := o.scrape()
	if err != nil {
		o.T.Fatal(err)
	}
	return all
}

// Sum adds up the series of a name that have all of the given labels.
func (all Series) Sum(name string, labels ...string) (sum float64) {
	for key, value := range all {
		base, rest, _ := strings.Cut(key, "{")
		missing := slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(rest, label) })
		if base == name && !missing {
			sum += value
		}
	}
	return sum
}

// Cumulative reports whether a series may never decrease.
func Cumulative(key string) bool {
	name, _, _ := strings.Cut(key, "{")
	for _, suffix := range []string{"_total", "_bucket", "_count", "_sum"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// Watcher scrapes a server continuously.
type Watcher struct {
	*Operator
	quit   chan struct{}
	joined sync.WaitGroup
	once   sync.Once
	last   Series
	Count  int
}

// Watch scrapes every 20 ms until StopScraping is called or the test ends. It fails the
// test when a scrape fails, or when a cumulative series decreases or disappears.
func (o *Operator) Watch() *Watcher {
	w := &Watcher{Operator: o, quit: make(chan struct{})}
	o.T.Cleanup(w.StopScraping)
	w.joined.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			w.check()
			select {
			case <-w.quit:
				return
			case <-tick.C:
			}
		}
	})
	return w
}

func (w *Watcher) check() {
	now, err := w.scrape()
	if err != nil {
		w.T.Errorf("scrape %d: %v", w.Count, err)
		return
	}
	w.Count++
	for key, before := range w.last {
		if value, there := now[key]; Cumulative(key) && (!there || value < before || math.IsNaN(value)) {
			w.T.Errorf("scrape %d: %s is %v, was %v; present: %v", w.Count, key, value, before, there)
		}
	}
	w.last = maps.Clone(now)
}

// StopScraping stops the scrapes.
func (w *Watcher) StopScraping() {
	w.once.Do(func() { close(w.quit) })
	w.joined.Wait()
}
