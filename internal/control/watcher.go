package control

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	"phalanx/internal/ipc"
)

// Watcher tells the master that this worker lives, and that it has had enough.
type Watcher struct {
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

// BeatEvery is the time between two signs of life of a worker that counts as
// hung after the given one; 0, for no such time, is 0: nobody wants to know.
func BeatEvery(hang time.Duration) time.Duration { return hang / beats }

// Watch watches the limits, against the number of requests so far, and gives a
// sign of life each beat; 0 is for a worker that does so itself. The event loop
// shows itself that it goes round (see [Watcher.Alive]); goroutines on Go's
// poller have no loop, and all that can be shown of them is that the runtime
// still runs them. The watcher ends with [Watcher.Stop]; the channel stays the
// caller's.
func Watch(channel *ipc.Channel, beat time.Duration, limit Limits, requests func() uint64) *Watcher {
	w := &Watcher{channel: channel, quit: make(chan struct{})}
	if beat > 0 {
		w.joined.Go(func() { w.each(beat, w.Alive) })
	}
	if limit.Requests > 0 || limit.Memory > 0 {
		limit.Requests = jittered(limit.Requests, rand.Float64())
		var asked time.Time
		began := time.Now()
		w.joined.Go(func() {
			w.each(lookEvery, func() {
				memory := resident()
				if time.Since(began) < askEvery {
					memory = 0 // it may just have taken thousands of connections over
				}
				reason := limit.exceeded(int64(requests()), memory)
				if reason != "" && time.Since(asked) >= askEvery {
					asked = time.Now()
					_ = w.channel.Send(ipc.Recycle{Reason: reason}) // a master that is gone needs no news
				}
			})
		})
	}
	return w
}

func (w *Watcher) each(every time.Duration, do func()) {
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

// Alive never waits, and what it cannot say now it says the next time.
func (w *Watcher) Alive() { _ = w.channel.Send(ipc.Alive{}) }

// Stop returns when the watcher says nothing any more.
func (w *Watcher) Stop() {
	close(w.quit)
	w.joined.Wait()
}

// Limits are those after which a worker wants to be replaced; 0 is none.
type Limits struct {
	Requests int64 // each worker ends somewhere in the last quarter of them
	Memory   int64 // bytes
}

// jittered spreads a limit over the last quarter of it, so that workers that
// began together do not end together. chance is from 0 to below 1.
func jittered(limit int64, chance float64) int64 {
	return limit - int64(chance*float64(limit)/4)
}

// exceeded says which limit has been reached, or nothing.
func (l Limits) exceeded(requests, memory int64) string {
	switch {
	case l.Requests > 0 && requests >= l.Requests:
		return fmt.Sprintf("%d requests", requests)
	case l.Memory > 0 && memory >= l.Memory:
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
