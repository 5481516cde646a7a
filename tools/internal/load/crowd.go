package load

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Crowd describes clients that download one file at the same time.
type Crowd struct {
	Address string
	Path    string
	Clients int
	Last    time.Duration
	Sample  time.Duration // between two samples of the bytes received
	// Each client reads Portion bytes every Period; 0 means as fast as it can.
	Portion int64
	Period  time.Duration
}

// Outcome is the result of running a crowd.
type Outcome struct {
	Received []int64         // bytes, for each client
	Stall    []time.Duration // the longest wait for bytes, for each client
	Samples  [][]int64       // bytes, for each client at each sample
	Errors   []error         // for each client; nil if it did not fail
	Whole    int             // clients that received the whole file
}

const slowBuffer = 32 << 10 // bytes: a slow client must not read ahead

// Run connects all clients, starts them together, and returns when Last is over.
// Its error is that of a connection attempt or of the context.
func (w Crowd) Run(ctx context.Context) (Outcome, error) {
	buffer := 0
	if w.Portion > 0 {
		buffer = slowBuffer
	}
	var clients []*client
	defer func() {
		for _, c := range clients {
			c.conn.Close()
		}
	}()
	for range w.Clients {
		c, err := dial(ctx, w.Address, buffer)
		if err != nil {
			return Outcome{}, fmt.Errorf("client %d of %d: %w", len(clients)+1, w.Clients, err)
		}
		clients = append(clients, c)
	}
	return w.download(ctx, clients)
}

func (w Crowd) download(ctx context.Context, clients []*client) (Outcome, error) {
	out := Outcome{Samples: make([][]int64, len(clients)), Errors: make([]error, len(clients))}
	end := time.Now().Add(w.Last)
	var joined sync.WaitGroup
	for i, c := range clients {
		joined.Go(func() { out.Errors[i] = w.one(ctx, c, i, end) })
	}
	tick := time.NewTicker(w.Sample)
	defer tick.Stop()
	for range int(w.Last / w.Sample) {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		for i, c := range clients {
			out.Samples[i] = append(out.Samples[i], c.received.Load())
		}
	}
	joined.Wait()
	for _, c := range clients {
		out.Received = append(out.Received, c.received.Load())
		out.Stall = append(out.Stall, c.stall)
		if c.whole() {
			out.Whole++
		}
	}
	return out, ctx.Err()
}

// one downloads with one client until the file is complete or the time is over,
// which is not an error.
func (w Crowd) one(ctx context.Context, c *client, number int, end time.Time) error {
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	if err := c.conn.SetDeadline(end); err != nil {
		return err
	}
	before := time.Now()
	err := c.get(w.Path)
	if err == nil {
		err = c.head()
	}
	c.waited(time.Since(before))
	if err == nil {
		if w.Portion > 0 {
			err = w.paced(c, number, end)
		} else {
			err = greedy(c)
		}
	}
	if err != nil && isTimeout(err) {
		return nil
	}
	return err
}

// greedy reads as fast as it can. A wait that the deadline ends counts too.
func greedy(c *client) error {
	scratch := make([]byte, discardMax)
	for !c.whole() {
		before := time.Now()
		_, err := c.discard(discardMax, scratch)
		c.waited(time.Since(before))
		if err != nil {
			return err
		}
	}
	return nil
}

// paced reads one portion each period. The start times of the clients are spread
// over the period; a late portion does not delay the later ones.
func (w Crowd) paced(c *client, number int, end time.Time) error {
	scratch := make([]byte, w.Portion)
	beat := time.Now().Add(w.Period * time.Duration(number) / time.Duration(w.Clients))
	for !c.whole() && beat.Before(end) {
		time.Sleep(time.Until(beat))
		due := time.Now()
		for left := w.Portion; left > 0 && !c.whole(); {
			n, err := c.discard(left, scratch)
			if err != nil {
				c.waited(time.Since(due))
				return err
			}
			left -= n
		}
		c.waited(time.Since(due))
		beat = beat.Add(w.Period)
	}
	return nil
}

// Whole downloads the whole file with one client and returns its size in bytes.
func (w Crowd) Whole(ctx context.Context) (int64, error) {
	c, err := dial(ctx, w.Address, 0)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	if err := w.one(ctx, c, 0, time.Now().Add(w.Last)); err != nil {
		return 0, err
	}
	if !c.whole() {
		return 0, fmt.Errorf("received %d of %d bytes within %v", c.received.Load(), c.size, w.Last)
	}
	return c.size, nil
}
