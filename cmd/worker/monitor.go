package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"phalanx/internal/ipc"
	"phalanx/internal/options"
)

// watcher tells the master that this worker lives, and that it has had enough.
type watcher struct {
	channel interface{ Send(ipc.Message) error }
	quit    chan struct{}
	joined  sync.WaitGroup
}

const (
	// Signs of life in the time after which a worker counts as hung.
	beats = 4
	// Between two looks at requests and memory.
	lookEvery = time.Second
	// Between two requests for a replacement: the first may have failed.
	askEvery = 30 * time.Second
)

// beatEvery is 0 when nobody wants to know.
func beatEvery(opts options.WorkerOptions) time.Duration {
	return time.Duration(opts.HangTimeout) / beats
}

// monitor watches what the options ask for. The event loop shows itself that it
// goes round (see alive); goroutines on Go's poller have no loop, and all that
// can be shown of them is that the runtime still runs them.
func monitor(opts options.WorkerOptions, channel *ipc.Channel, requests *atomic.Uint64) *watcher {
	w := &watcher{channel: channel, quit: make(chan struct{})}
	if every := beatEvery(opts); every > 0 && !opts.EventLoop() {
		w.joined.Go(func() { w.each(every, w.alive) })
	}
	if opts.MaxRequests > 0 || opts.MaxMemory > 0 {
		limit := limits{requests: jittered(int64(opts.MaxRequests), rand.Float64()), memory: int64(opts.MaxMemory)}
		var asked time.Time
		began := time.Now()
		w.joined.Go(func() {
			w.each(lookEvery, func() {
				memory := resident()
				if time.Since(began) < askEvery {
					memory = 0 // it may just have taken thousands of connections over
				}
				reason := limit.exceeded(int64(requests.Load()), memory)
				if reason != "" && time.Since(asked) >= askEvery {
					asked = time.Now()
					_ = w.channel.Send(ipc.Tired{Reason: reason}) // a master that is gone needs no news
				}
			})
		})
	}
	return w
}

func (w *watcher) each(every time.Duration, do func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		do()
		select {
		case <-tick.C:
		case <-w.quit:
			return
		}
	}
}

// alive never waits, and what it cannot say now it says the next time.
func (w *watcher) alive() { _ = w.channel.Send(ipc.Alive{}) }

func (w *watcher) stop() {
	close(w.quit)
	w.joined.Wait()
}

// limits are those after which a worker wants to be replaced; 0 is none.
type limits struct {
	requests int64
	memory   int64 // bytes
}

// jittered spreads a limit over the last quarter of it, so that workers that
// began together do not end together. chance is from 0 to below 1.
func jittered(limit int64, chance float64) int64 {
	return limit - int64(chance*float64(limit)/4)
}

// exceeded says which limit has been reached, or nothing.
func (l limits) exceeded(requests, memory int64) string {
	switch {
	case l.requests > 0 && requests >= l.requests:
		return fmt.Sprintf("%d requests", requests)
	case l.memory > 0 && memory >= l.memory:
		return fmt.Sprintf("%d MiB of memory", memory>>20)
	}
	return ""
}

// resident is the memory of this process in bytes, 0 if that is not known
// (proc(5): the second number of statm is the resident set in pages).
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
