package serve_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// Over a minute a connection may send as many bytes as its rate says, however irregularly Allow is called and
// even if some bytes are sent early.
func TestBucketRate(t *testing.T) {
	for _, r := range []serve.Rate{{Bytes: 1}, {Bytes: 1000}, {Bytes: 500 << 10}, {Bytes: 1 << 30}, {Bytes: 10_000, After: 1 << 20}} {
		now, sent := time.Duration(0), int64(0)
		b := r.Bucket(now)
		for i := 0; now < time.Minute; i++ {
			n := b.Allow(r, now)
			if i%7 == 0 {
				n += 100 // a head beyond the allowance
			}
			if b.Allow(r, now) > 0 {
				b.Sent(int(n))
				sent += n
			}
			now += serve.RateTick + time.Duration(i%13)*9*time.Millisecond
		}
		want := max(r.After, r.Bytes/10) + int64(now.Seconds()*float64(r.Bytes))
		if diff := want - sent; diff < -200 || diff > r.Bytes/4+1 {
			t.Errorf("%v: %d bytes, want %d", r, sent, want)
		}
	}
}

// After idling, a connection may send as much at once as a new one, and no more. One that was taken over may
// send nothing at first.
func TestBucketFills(t *testing.T) {
	r := serve.Rate{Bytes: 1000, After: 5000}
	b := r.Bucket(0)
	if n := b.Allow(r, 0); n != 5000 {
		t.Errorf("%d bytes allowed at first, want 5000", n)
	}
	b.Sent(6000)
	for second, want := range map[time.Duration]int64{1: 0, 2: 1000} {
		after := b
		if n := after.Allow(r, second*time.Second); n != want {
			t.Errorf("%d bytes allowed after %d s, want %d", n, second, want)
		}
	}
	if n := b.Allow(r, time.Hour); n != 5000 {
		t.Errorf("%d bytes allowed after an hour, want 5000", n)
	}
	b.Empty(time.Hour)
	if n := b.Allow(r, time.Hour); n != 0 {
		t.Errorf("%d bytes allowed after Empty, want 0", n)
	}
	if n := b.Allow(r, time.Hour+time.Second); n != 1000 {
		t.Errorf("%d bytes allowed a second after Empty, want 1000", n)
	}
}

// A loop that asks again and again sends at most ten times a second, in equal bursts, not a few bytes at a
// time. What a burst leaves may be sent at once.
func TestBucketEmptiesInBursts(t *testing.T) {
	for _, r := range []serve.Rate{{Bytes: 1000}, {Bytes: 300 << 10}, {Bytes: 2 << 20}, {Bytes: 1 << 30}} {
		bursts, sent, waits := 0, int64(0), time.Duration(0)
		b := r.Bucket(0)
		for now := time.Duration(0); now < 10*time.Second; now += 20 * time.Microsecond {
			if now < waits {
				continue
			}
			n := b.Allow(r, now)
			if n == 0 {
				waits = b.Again()
				continue
			}
			bursts, sent = bursts+1, sent+n
			b.Sent(int(n))
		}
		if bursts > 101 || sent < r.Bytes*99/10 || sent > r.Bytes*102/10 {
			t.Errorf("%v: %d bytes in %d bursts in 10 s, want as many as in 10 s in at most 101", r, sent, bursts)
		}
	}
	r := serve.Rate{Bytes: 1000}
	b := r.Bucket(0)
	b.Sent(60)
	if n := b.Allow(r, 0); n != 40 {
		t.Errorf("%d bytes allowed after 60 of 100, want 40", n)
	}
}

// rated starts a server with a rate in bytes a second for each connection.
func rated(t *testing.T, dir string, run servetest.Run, rate serve.Rate, minRate int) (*servetest.Server, *watched) {
	clock := &watched{began: time.Now()}
	return servetest.Start(t, dir, run, func(cfg *serve.Config) {
		cfg.Rate, cfg.Conn.MinRate, cfg.Clock = rate, minRate, clock.read
	}), clock
}

// watched is a clock with the longest time between two readings. A loop's time may be so old: a connection that is
// accepted at the end of a long iteration has waited that much less.
type watched struct {
	began         time.Time
	last, longest atomic.Int64
}

func (w *watched) read() (time.Time, time.Duration) {
	now := time.Now()
	mono := now.Sub(w.began)
	w.longest.Store(max(w.longest.Load(), int64(mono)-w.last.Swap(int64(mono))))
	return now, mono
}

// less returns a duration less the longest time between two readings.
func (w *watched) less(d time.Duration) time.Duration { return d - time.Duration(w.longest.Load()) }

// A thousand downloads each get their rate, and a small page is sent at once. The rate times no client out.
func TestRate(t *testing.T) {
	dir := t.TempDir()
	whole := servetest.Noise(t, filepath.Join(dir, "f"), 100_000)
	if err := os.WriteFile(filepath.Join(dir, "small"), []byte("page"), 0o644); err != nil {
		t.Fatal(err)
	}
	const downloads, rate = 1000, 50_000
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		s, clock := rated(t, dir, run, serve.Rate{Bytes: rate}, 0)
		var clients sync.WaitGroup
		var mu sync.Mutex
		var first, last time.Duration
		for range downloads {
			clients.Go(func() {
				began := time.Now()
				body, err := download(s.Addr, "/f", len(whole))
				took := time.Since(began)
				if err != nil || !bytes.Equal(body, whole) {
					t.Errorf("a download has %d bytes, error %v", len(body), err)
				}
				mu.Lock()
				defer mu.Unlock()
				if last = max(last, took); first == 0 || took < first {
					first = took
				}
			})
		}
		for range 20 {
			if body, err := download(s.Addr, "/small", 4); string(body) != "page" {
				t.Errorf("a small page: %q, error %v", body, err)
			}
		}
		clients.Wait()
		// 100,000 bytes and a head at 50,000 a second, 5,000 of them at once.
		if least := clock.less(1850 * time.Millisecond); first < least {
			t.Errorf("a download took %v, want at least %v", first, least)
		}
		t.Logf("%d downloads took from %v to %v", downloads, first, last)
		s.Stop()
	})
}

// download requests a file over a connection of its own, and returns its last size bytes.
func download(addr, path string, size int) ([]byte, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		return nil, err
	}
	all, err := io.ReadAll(c)
	if len(all) < size {
		return all, fmt.Errorf("%d bytes: %w", len(all), err)
	}
	return all[len(all)-size:], err
}

// The first After bytes are sent at once, and the rate applies to the rest, over several requests too. The
// minimum rate does not count against a client that the server slows down.
func TestRateAfter(t *testing.T) {
	dir := withFile(t, 60_000)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		s, clock := rated(t, dir, run, serve.Rate{Bytes: 40_000, After: 300_000}, 1<<20)
		c := s.Dial()
		defer c.Close()
		began := time.Now()
		for range 6 { // 360,000 bytes and six heads, 60,000 of them beyond After
			servetest.Send(t, c, servetest.Get("/f"))
			if _, err := io.CopyN(io.Discard, c, 60_000); err != nil {
				t.Fatal(err)
			}
		}
		if took, least := time.Since(began), clock.less(1500*time.Millisecond); took < least {
			t.Errorf("60,000 bytes at 40,000 a second took %v, want at least %v", took, least)
		}
		s.Stop()
	})
}

// A request that waits because of the rate is answered at the end of the wait, and the response has the time of then.
func TestRateDelaysResponses(t *testing.T) {
	dir := withFile(t, 30_000)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		s, _ := rated(t, dir, run, serve.Rate{Bytes: 10_000}, 0)
		began := time.Now().Truncate(time.Second)
		c := s.DialWith(servetest.Get("/f"))
		r := bufio.NewReader(c)
		if _, body := servetest.Receive(t, r); len(body) != 30_000 {
			t.Fatalf("%d bytes", len(body))
		}
		servetest.Send(t, c, servetest.Get("/none"))
		res, _ := servetest.Receive(t, r)
		// The file and the head, less a tenth of a second's worth, take 2.9 s.
		if date, err := http.ParseTime(res.Header.Get("Date")); err != nil || date.Sub(began) < 2*time.Second {
			t.Errorf("dated %v after the first request, error %v; want at least 2 s", date.Sub(began), err)
		}
		c.Close()
		s.Stop()
	})
}

// A drain that begins while a request waits because of the rate is announced in the response.
func TestRateDuringDrain(t *testing.T) {
	dir := withFile(t, 0)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		s, _ := rated(t, dir, run, serve.Rate{Bytes: 100}, 0)
		c := s.DialWith(servetest.Get("/f"))
		r := bufio.NewReader(c)
		servetest.Receive(t, r) // a head of about 300 bytes, which is sent at once
		servetest.Send(t, c, servetest.Get("/none"))
		s.Order(serve.Drain{})
		if res, _ := servetest.Receive(t, r); !res.Close {
			t.Error("the response is not the last of its connection")
		}
		c.Close()
		s.Wait()
	})
}
