package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Idle opens connections, makes one request on each, and keeps them open while
// observe runs. It returns how many of them were still open after that. A
// connection without a response after a second, or 5 s over TLS, is closed and
// not counted. After 256 of those in a row the server counts as full, and Idle
// opens no more.
func Idle(ctx context.Context, address, path string, connections int, secure bool, observe func()) int {
	const atOnce = 64
	clients := make([]*client, connections)
	turns := make(chan int)
	var failures atomic.Int32 // in a row
	var joined sync.WaitGroup
	for range atOnce {
		joined.Go(func() {
			for i := range turns {
				if clients[i] = hold(ctx, address, path, secure); clients[i] == nil {
					failures.Add(1)
				} else {
					failures.Store(0)
				}
			}
		})
	}
	for i := range connections {
		if ctx.Err() != nil || failures.Load() >= 4*atOnce {
			break
		}
		turns <- i
	}
	close(turns)
	joined.Wait()
	observe()
	held := 0
	for _, c := range clients {
		if c == nil {
			continue
		}
		if c.open() {
			held++
		}
		c.conn.Close()
	}
	return held
}

// hold makes one request and returns the open connection, or nil.
func hold(ctx context.Context, address, path string, secure bool) *client {
	c, err := dial(ctx, address, 0)
	if err != nil {
		return nil
	}
	if secure {
		return c.holdSecure(path)
	}
	_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second)) // a failure shows in the read
	err = c.get(path)
	if err == nil {
		err = c.head()
	}
	scratch := make([]byte, 4<<10)
	for err == nil && !c.whole() {
		_, err = c.discard(int64(len(scratch)), scratch)
	}
	if err != nil {
		c.conn.Close()
		return nil
	}
	return c
}

// open reports whether the connection is still open.
func (c *client) open() bool {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.conn.Read(make([]byte, 1))
	return err != nil && isTimeout(err)
}
