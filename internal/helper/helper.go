// Package helper is the pool's process for work that takes long and is not urgent: it has the
// lowest priority, and does one job after the other on files that workers send.
//
// A worker opens the file, and sends its descriptor to the master, which passes it on
// without touching the file ([Runner]). So the helper needs no path, may open nothing of the site,
// and gets no file that the worker could not read itself. It does not trust what it is sent: its
// queue is bounded and without duplicates, and serves workers in turn ([Work]).
package helper

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// Job is something to be done with an open regular file, which belongs to the helper.
type Job struct {
	Kind ipc.JobKind
	File *os.File
	Stat unix.Stat_t // when it came
	from int         // pid of the worker
}

// IdleTime is how long a helper waits for a job before it exits. The next job starts
// another.
const IdleTime = time.Minute

// Work does jobs until the channel ends, or none has arrived for a time. It calls a
// function for each job, completes the result and sends it to the master; the function
// has to stop when its context ends. At most that many jobs wait, because each holds a
// descriptor.
func Work(channel *ipc.Channel, most int, idle time.Duration, do func(context.Context, Job) ipc.JobDone) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	q := newQueue(most)
	var receiving sync.WaitGroup
	receiving.Go(func() { cancel(receive(channel, q)) })
	defer func() {
		channel.Close()
		receiving.Wait()
		q.close()
	}()
	for {
		j, ok := q.take()
		if !ok {
			select {
			case <-q.filled:
				continue
			case <-ctx.Done():
			case <-time.After(idle):
				if channel.Pending() || q.len() > 0 { // a job has come at the last moment
					continue
				}
			}
			return ended(ctx)
		}
		done := do(ctx, j)
		j.File.Close()
		if ctx.Err() != nil {
			return ended(ctx)
		}
		done.Kind, done.Before, done.Waiting = j.Kind, max(j.Stat.Size, 0), q.len()
		if err := channel.SendWait(done); err != nil {
			return nil // the master has gone
		}
	}
}

// ended returns why the context has ended, nil if it has not, or the master has gone.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); err != io.EOF {
		return err
	}
	return nil
}

// receive puts jobs into a queue until the channel ends, and returns why it has.
func receive(channel *ipc.Channel, q *queue) error {
	for {
		m, fd, err := channel.ReceiveFile()
		if err != nil {
			return err
		}
		if fd < 0 {
			continue
		}
		job, ok := m.(ipc.Job)
		j := Job{Kind: job.Kind, File: os.NewFile(uintptr(fd), "job"), from: job.From}
		if !ok || unix.Fstat(fd, &j.Stat) != nil || j.Stat.Mode&unix.S_IFMT != unix.S_IFREG || !q.put(j) {
			j.File.Close()
		}
	}
}
