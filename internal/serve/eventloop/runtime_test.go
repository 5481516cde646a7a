package eventloop

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/site"
	"phalanx/internal/systest"
	"phalanx/internal/website"
)

// TestMain gives the tests as many Ps as the master gives a worker (options.Procs): a loop keeps one to itself
// while it works, and the client of a test needs another.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	os.Exit(m.Run())
}

// startCached starts a loop with a file cache, as in a worker of the process model.
func startCached(t *testing.T, dir string) *servetest.Server {
	t.Helper()
	fd, addr := servetest.Listen(t)
	return servetest.StartOn(t, dir, fd, addr, func(cfg serve.Config, listeners []serve.Listener, orders *serve.Orders) error {
		b := cfg.Conn.Site.(servetest.Site)
		cache := site.NewCache(b.Root, time.Second, serve.CachedFiles())
		// The files of the test are new, so pretend that some time has passed.
		b.Root.Now = func() time.Time { return time.Now().Add(time.Minute) }
		defer cache.Close()
		cfg.Conn.Site = website.Cached(b.Root, cache)
		return run(cfg, listeners, orders)
	}, nil)
}

// ping sends a request and reads exactly n bytes of response, a number of times.
func ping(t *testing.T, c net.Conn, request []byte, n, times int) {
	t.Helper()
	if err := tryPing(c, request, n, times); err != nil {
		t.Fatal(err)
	}
}

// tryPing is ping for other goroutines than the test's.
func tryPing(c net.Conn, request []byte, n, times int) error {
	buf := make([]byte, n)
	for range times {
		if _, err := c.Write(request); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf returns the number of bytes of the response to a request.
func sizeOf(t *testing.T, c net.Conn, request string) int {
	t.Helper()
	servetest.Send(t, c, request)
	var all bytes.Buffer
	method, _, _ := strings.Cut(request, " ")
	r, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &all)), &http.Request{Method: method})
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all.Len()
}

// In the steady state the loop, the connection and the cache allocate nothing.
func TestLoopAllocatesNothing(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/f", 4096)
	old := "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT"
	for name, request := range map[string]string{
		"GET":   servetest.Get("/f"),
		"HEAD":  "HEAD /f HTTP/1.1\r\nHost: a\r\n\r\n",
		"range": servetest.Get("/f", "Range: bytes=10-19"),
		"304":   servetest.Get("/f", "If-None-Match: *", old),
		"404":   servetest.Get("/none"),
	} {
		t.Run(name, func(t *testing.T) {
			s := startCached(t, dir)
			c := s.Dial()
			n := sizeOf(t, c, request)
			raw := []byte(request)
			ping(t, c, raw, n, 100)
			const times = 600
			began := time.Now()
			mallocs := servetest.FewestMallocs(func() { ping(t, c, raw, n, times) })
			// Date and Expires are formatted once a second, and a path is checked again.
			seconds := int(time.Since(began) / time.Second)
			if mallocs > times/20+20*seconds {
				t.Errorf("%d allocations in %d requests and %d seconds, want at most one in twenty", mallocs, times, seconds)
			}
			c.Close()
			s.Stop()
		})
	}
}

// The loop's raw system calls bypass Go's scheduler; garbage collections, timers and channels must still work, while
// the loop is busy and while it is idle.
func TestRuntimeIsNotBlocked(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/f", 4096)
	for _, busy := range []bool{false, true} {
		name := map[bool]string{false: "idle", true: "busy"}[busy]
		t.Run(name, func(t *testing.T) {
			s := startCached(t, dir)
			c := s.Dial()
			n := sizeOf(t, c, servetest.Get("/f"))
			stop, done := make(chan bool), make(chan bool)
			go func() {
				defer close(done)
				for busy {
					select {
					case <-stop:
						return
					default:
						if err := tryPing(c, []byte(servetest.Get("/f")), n, 20); err != nil {
							t.Error(err)
							return
						}
					}
				}
			}()
			collections := measure(20, runtime.GC)
			timers := measure(50, func() { <-time.After(time.Millisecond) })
			close(stop)
			<-done
			c.Close()
			s.Stop()
			// A raw wait lasts 10 ms at most; a busy machine adds to it.
			for what, took := range map[string]time.Duration{"garbage collection": collections, "timer": timers} {
				if took > 500*time.Millisecond {
					t.Errorf("median time of a %s: %v, want at most 500 ms", what, took)
				}
			}
		})
	}
}

// A loop that has nothing left to do takes no more turns.
func TestIdleLoopSleeps(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/f", 1000)
	var turns atomic.Int64
	s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
		cfg.Flush = func() time.Duration {
			turns.Add(1)
			return 0
		}
	})
	defer s.Stop()
	c := s.Dial()
	defer c.Close()
	ping(t, c, []byte(servetest.Get("/f")), sizeOf(t, c, servetest.Get("/f")), 20)
	last, since := turns.Load(), time.Now()
	systest.Await(t, "the end of the loop's turns", func() bool {
		if n := turns.Load(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 20*rawWait*time.Millisecond
	})
}

// measure returns the median time of several calls.
func measure(times int, f func()) time.Duration {
	took := make([]time.Duration, times)
	for i := range took {
		began := time.Now()
		f()
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[times/2]
}

// A peer fits into the allocator's size class of 416 bytes, because there are thousands of idle connections.
func TestPeerIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(peer{}); size > 416 {
		t.Errorf("a peer has %d bytes, want at most 416", size)
	}
}
