package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	visitors = 40  // persistent connections, each with a request now and then
	pace     = 850 // requests a second in total
)

// downloads lists the slow downloads, with their rates in bytes a second.
var downloads = []struct {
	path string
	rate int
}{
	{"/downloads/desktop-26.04.iso", 14 << 20},
	{"/downloads/desktop-26.04.iso", 6 << 20},
	{"/downloads/firmware-2.14.img", 5 << 20},
	{"/downloads/firmware-2.14.img?mirror=eu", 2 << 20},
	{"/media/keynote-1080p.mp4", 3 << 20},
	{"/media/keynote-1080p.mp4", 9 << 20},
	{"/media/interview.flac", 1 << 20},
	{"/backup/2026-06-01.tar.zst", 20 << 20},
	{"/downloads/firmware-2.14.img", 4 << 20},
	{"/media/interview.flac", 2 << 20},
	{"/downloads/desktop-26.04.iso", 8 << 20},
	{"/media/keynote-1080p.mp4", 5 << 20},
}

// visited lists the paths that visitors request, frequent ones more than once.
var visited = []string{
	"/", "/", "/", "/index.html", "/favicon.svg", "/img/arms.svg", "/img/icon-192.png", "/fonts/go-regular.woff",
	"/fonts/go-bold.woff", "/gallery/plan.webp", "/gallery/bronze.jpg", "/gallery/wall.png", "/files/hello.wasm",
}

// crowd is a group of clients of the pool.
type crowd struct {
	cancel context.CancelFunc
	joined sync.WaitGroup
	failed chan error // the first error
}

// busy starts the clients; the downloads start one after another.
func busy(ctx context.Context) *crowd {
	ctx, cancel := context.WithCancel(ctx)
	c := &crowd{cancel: cancel, failed: make(chan error, 1)}
	begin := time.Now()
	for i := range visitors {
		c.joined.Go(func() { c.note(ctx, visit(ctx, begin, rand.New(rand.NewPCG(1, uint64(i))))) })
	}
	for i, d := range downloads {
		c.joined.Go(func() {
			// The first one starts at once, the last one half a minute later.
			if wait(ctx, time.Duration(i)*3*time.Second) {
				c.note(ctx, download(ctx, d.path, d.rate))
			}
		})
	}
	return c
}

func (c *crowd) note(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	select {
	case c.failed <- err:
	default:
	}
}

// last waits for the given time. It returns early with the first error of a client.
func (c *crowd) last(ctx context.Context, during time.Duration) error {
	select {
	case err := <-c.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(during):
		return nil
	}
}

func (c *crowd) end() {
	c.cancel()
	c.joined.Wait()
}

// wait waits for the given time. It returns false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// loadFactor returns the factor by which the load varies, as over a day but faster.
func loadFactor(since time.Duration) float64 {
	s := since.Seconds()
	return 1 + 0.45*math.Sin(2*math.Pi*s/41) + 0.15*math.Sin(2*math.Pi*s/9)
}

// visit requests one page after another on one connection.
func visit(ctx context.Context, begin time.Time, rng *rand.Rand) error {
	conn, err := dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReader(conn)
	for {
		pause := rng.ExpFloat64() * visitors / pace / loadFactor(time.Since(begin))
		if !wait(ctx, time.Duration(pause*float64(time.Second))) {
			return nil
		}
		path := visited[rng.IntN(len(visited))]
		if rng.IntN(500) == 0 {
			path = "/old-page.html"
		}
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
			return err
		}
		reply, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, reply.Body); err != nil {
			return err
		}
	}
}

// download reads a file at a rate in bytes a second.
func download(ctx context.Context, path string, rate int) error {
	conn, err := dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		return err
	}
	const tick = 20 * time.Millisecond
	buffer := make([]byte, rate*int(tick/time.Millisecond)/1000)
	for next := time.Now(); ; next = next.Add(tick) {
		if !wait(ctx, time.Until(next)) {
			return nil
		}
		if _, err := io.ReadFull(conn, buffer); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}

// dial opens a connection with a small receive buffer, so that slow reading
// blocks the server.
func dial(ctx context.Context) (*net.TCPConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := conn.(*net.TCPConn)
	return c, c.SetReadBuffer(256 << 10)
}
