package serve_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/accesslog"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// When the wall clock is set, Date and the access log follow.
func TestCalendarSteps(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		access, logged := logTo(t, accesslog.Combined)
		began := time.Now()
		var step atomic.Int64
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			cfg.Access = access
			cfg.Clock = func() (time.Time, time.Duration) {
				now := time.Now()
				return now.Add(time.Duration(step.Load())), now.Sub(began)
			}
		})
		c := s.Dial()
		r := bufio.NewReader(c)
		for i, offset := range []time.Duration{0, 5 * time.Hour, -3 * time.Hour} {
			step.Store(int64(offset))
			servetest.Send(t, c, servetest.Get("/f"))
			res, _ := servetest.Receive(t, r)
			want := time.Now().Add(offset)
			date, err := http.ParseTime(res.Header.Get("Date"))
			if err != nil || want.Sub(date).Abs() > time.Minute {
				t.Errorf("Date is %v, want about %v; error %v", date, want, err)
			}
			var line []byte
			systest.Await(t, "a line of the access log", func() bool {
				lines := bytes.Split(logged(), []byte("\n"))
				if len(lines) < i+2 {
					return false
				}
				line = lines[i]
				return true
			})
			_, rest, _ := bytes.Cut(line, []byte("["))
			stamp, _, _ := bytes.Cut(rest, []byte("]"))
			at, err := time.Parse("02/Jan/2006:15:04:05 -0700", string(stamp))
			if err != nil || want.Sub(at).Abs() > time.Minute {
				t.Errorf("the access log has time %v, want about %v; error %v", at, want, err)
			}
		}
		c.Close()
		s.Stop()
	})
}

// fast returns a clock that runs faster than the machine's by a factor. The goroutine engine reads it but is woken
// by the machine's clock.
func fast(times time.Duration) func() (time.Time, time.Duration) {
	began := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now, times * now.Sub(began)
	}
}

// held is a clock that stands still until it is released. Then it runs faster than the machine's by a factor.
type held struct {
	times time.Duration
	since atomic.Pointer[time.Time] // its release
	ahead atomic.Int64              // by which it has been set ahead
}

func (h *held) release() {
	now := time.Now()
	h.since.Store(&now)
}

func (h *held) read() (time.Time, time.Duration) {
	mono := time.Hour + time.Duration(h.ahead.Load())
	if since := h.since.Load(); since != nil {
		mono += h.times * time.Since(*since)
	}
	return time.Now(), mono
}

// sleep returns when the clock has advanced by a duration.
func (h *held) sleep(d time.Duration) {
	_, began := h.read()
	for now := began; now < began+d; _, now = h.read() {
		time.Sleep(10 * time.Millisecond)
	}
}

// During a drain, and at any time with a minimum rate, a client that reads a few bytes a minute is disconnected, and
// one that reads fast enough receives everything.
func TestMinimumRate(t *testing.T) {
	t.Parallel()
	for _, minRate := range []int{0, 2000} {
		t.Run(fmt.Sprintf("%d bytes a second", minRate), func(t *testing.T) {
			eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) { testLeastRate(t, run, minRate) })
		})
	}
}

// dialNarrow connects with a receive buffer that is small from the start: a larger window would be filled at once,
// whatever the client's rate.
func dialNarrow(t *testing.T, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	t.Cleanup(func() { c.Close() })
	return c
}

func testLeastRate(t *testing.T, run servetest.Run, minRate int) {
	dir := withFile(t, 1<<20)
	fd, addr := narrow(t)
	var row scoreboard.Row
	var alerts atomic.Int64
	clock := held{times: 20} // a minute takes three seconds
	s := servetest.StartOn(t, dir, fd, addr, run, func(cfg *serve.Config) {
		cfg.Row, cfg.Conn.MinRate = &row, minRate
		cfg.Alert = func(string) { alerts.Add(1) }
		cfg.Clock = clock.read
	})
	steady, slow := dialNarrow(t, s.Addr), dialNarrow(t, s.Addr)
	var read sync.WaitGroup
	defer read.Wait()
	for _, c := range []net.Conn{steady, slow} {
		servetest.Send(t, c, servetest.Get("/f"))
	}
	got := int64(0)
	read.Go(func() { // at 20 KB/s of the server's clock, which stands still if this client does
		for {
			n, err := steady.Read(make([]byte, 4000))
			clock.ahead.Add(int64(n) * int64(time.Second) / 20_000)
			if got += int64(n); (err != nil || got >= 1<<20) && clock.since.Load() == nil {
				clock.release()
			}
			if err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	read.Go(func() { // at 300 B/s
		for {
			if _, err := slow.Read(make([]byte, 1200)); err != nil {
				return
			}
			clock.sleep(4 * time.Second)
		}
	})
	systest.Await(t, "two downloads", func() bool { return row.Requests[2].Load() == 2 })
	if minRate > 0 {
		systest.Await(t, "one disconnected client", func() bool { return row.Limited[scoreboard.LimitRate].Load() == 1 })
		systest.Await(t, "the alert", func() bool { return alerts.Load() > 0 })
	}
	s.Order(serve.Drain{})
	s.Wait()
	read.Wait()
	if minRate > 0 && alerts.Load() != 1 {
		t.Errorf("%d alerts, want 1", alerts.Load())
	}
	counters := row.Read()
	if counters.TimedOut != 1 || counters.Truncated != 1 || counters.Limited[scoreboard.LimitRate] != 1 || got < 1<<20 {
		t.Errorf("%d timeouts, %d truncated and %d below the rate, want one of each; the steady client got %d bytes",
			counters.TimedOut, counters.Truncated, counters.Limited[scoreboard.LimitRate], got)
	}
}

// A response that the client never reads is counted as truncated when the client times out, and has no latency.
func TestUnreadResponseIsTruncated(t *testing.T) {
	dir := withFile(t, 30<<10)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		fd, addr := narrow(t)
		var row scoreboard.Row
		clock := held{times: 100} // a minute takes 600 ms
		s := servetest.StartOn(t, dir, fd, addr, run, func(cfg *serve.Config) {
			cfg.Row = &row
			cfg.Clock = clock.read
		})
		c := s.Dial()
		c.SetReadBuffer(4096)
		for range 6 {
			servetest.Send(t, c, servetest.Get("/f"))
		}
		clock.release()
		systest.Await(t, "a timeout", func() bool { return row.TimedOut.Load() == 1 })
		systest.Await(t, "the end of the connection", func() bool { return row.Active.Load() == 0 })
		c.Close()
		s.Stop()
		read := row.Read()
		if whole := read.Latency.Total(); read.Truncated == 0 || read.Truncated+whole != read.Requests[2] || whole > 2 {
			t.Errorf("%d responses: %d counted as truncated, %d with a latency", read.Requests[2], read.Truncated, whole)
		}
	})
}
