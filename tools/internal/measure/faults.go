package measure

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"
	"time"

	"phalanx/tools/internal/load"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
)

// faults loads a server while its workers are killed or replaced.
func (b *Bench) faults(ctx context.Context, r *record.Result) error {
	server, err := b.start(r, b.Site)
	if err != nil {
		return err
	}
	defer server.Kill()
	var failure error
	disturbances := 0
	clients := load.Disturbed{
		Address: server.Address(), Path: page, Clients: r.Level, Last: b.Times.Load, Times: record.Disturbances, Pause: time.Millisecond,
		Closing: r.Experiment == record.KillClose,
		Disturb: func() {
			switch err := b.disturb(r.Experiment, server); err {
			case nil:
				disturbances++
			case errGone: // the failed requests show it
			default:
				failure = err
			}
		},
	}
	if r.Experiment == record.Reload {
		clients.Pause = 50 * time.Millisecond // most connections are idle during the reload
	}
	tally := clients.Run(ctx)
	r.Values[record.Requests], r.Values[record.Failed] = float64(tally.Requests), float64(tally.Failed)
	r.Values[record.Closed], r.Values[record.Seconds] = float64(tally.Closed), clients.Last.Seconds()
	r.Values[record.Disturbed] = float64(disturbances)
	return failure
}

// errGone is returned when the server under test has exited.
var errGone = errors.New("the server has exited")

// disturb kills one worker, or makes the server replace all of them.
func (b *Bench) disturb(e record.Experiment, server *target.Server) error {
	if e == record.Reload {
		return syscall.Kill(server.PID(), syscall.SIGHUP)
	}
	tree, err := b.Proc.Tree(server.PID())
	if err != nil {
		return errGone
	}
	workers := tree.Processes[1:]
	if len(workers) == 0 {
		return errGone
	}
	return syscall.Kill(workers[rand.IntN(len(workers))].PID, syscall.SIGKILL)
}
