package control

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	"phalanx/internal/human"
	"phalanx/internal/ipc"
)

// Watcher sends the master heartbeats, and a request to be recycled at a limit.
type Watcher struct {
	channel *ipc.Channel
	quit    chan struct{}
	joined  sync.WaitGroup
}

const (
	// Heartbeats in the time after which a worker counts as hung.
	beats = 4
	// Between two checks of requests and memory.
	lookEvery = time.Second
	// Between two requests for a replacement: the first may have failed.
	askEvery = 30 * time.Second
)

// BeatEvery returns the interval of heartbeats for a worker that counts as hung after
// the given time; 0 means that it needs none.
func BeatEvery(hang time.Duration) time.Duration { return hang / beats }

// Watch checks the limits, given the number of requests so far, and sends a heartbeat
// each beat; 0 is for a worker that sends its own. The event loop does so with
// [Watcher.Alive]. Goroutines on Go's poller have no loop: their heartbeat only shows
// that the runtime still schedules. The watcher ends with [Watcher.Stop]; the channel
// stays the caller's.
func Watch(channel *ipc.Channel, beat time.Duration, limit Limits, requests func() uint64) *Watcher {
	w := &Watcher{channel: channel, quit: make(chan struct{})}
	if beat > 0 {
		w.joined.Go(func() { w.each(beat, w.Alive) })
	}
	if limit.Requests > 0 || limit.Memory > 0 {
		limit.Requests = jittered(limit.Requests, rand.Float64())
		var asked time.Time
		began := time.Now()
		own := openMemory()
		w.joined.Go(func() {
			defer own.Close()
			w.each(lookEvery, func() {
				memory := resident(own)
				if time.Since(began) < askEvery {
					memory = 0 // it may just have taken thousands of connections over
				}
				reason := limit.exceeded(int64(requests()), memory)
				if reason != "" && time.Since(asked) >= askEvery {
					asked = time.Now()
					_ = w.channel.Send(ipc.Recycle{Reason: reason}) // an error means that the master is gone
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

// Alive sends a heartbeat. It never waits; one that cannot be sent is skipped.
func (w *Watcher) Alive() { _ = w.channel.Send(ipc.Alive{}) }

// Stop returns when the watcher sends nothing any more.
func (w *Watcher) Stop() {
	close(w.quit)
	w.joined.Wait()
}

// Limits are those at which a worker is recycled; 0 is none.
type Limits struct {
	Requests int64 // each worker ends somewhere in the last quarter of them
	Memory   int64 // bytes
}

// jittered spreads a limit over the last quarter of it, so that workers that
// began together do not end together. chance is from 0 to below 1.
func jittered(limit int64, chance float64) int64 {
	return limit - int64(chance*float64(limit)/4)
}

// exceeded says which limit has been reached; "" if none.
func (l Limits) exceeded(requests, memory int64) string {
	switch {
	case l.Requests > 0 && requests >= l.Requests:
		return fmt.Sprintf("%d requests", requests)
	case l.Memory > 0 && memory >= l.Memory:
		return human.Bytes(memory) + " of memory"
	}
	return ""
}

// openMemory opens the kernel's file about this process's memory, before the sandbox forbids to open
// files in /proc. It returns nil if there is no /proc; reads of a nil file return errors.
func openMemory() *os.File {
	statm, _ := os.Open("/proc/self/statm")
	return statm
}

// resident returns the memory of this process in bytes, 0 if unknown
// (proc(5): the second number of statm is the resident set in pages).
func resident(statm *os.File) int64 {
	var space [128]byte
	n, _ := statm.ReadAt(space[:], 0) // with io.EOF
	fields := bytes.Fields(space[:n])
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
