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
	var trouble error
	blows := 0
	fuss := load.Fuss{
		Address: server.Address(), Path: page, Clients: r.Level, Last: b.Times.Load, Times: record.Blows, Pause: time.Millisecond,
		Closing: r.Experiment == record.KillClose,
		Disturb: func() {
			switch err := b.blow(r.Experiment, server); err {
			case nil:
				blows++
			case errGone: // the failed requests show it
			default:
				trouble = err
			}
		},
	}
	if r.Experiment == record.Reload {
		fuss.Pause = 50 * time.Millisecond // most connections are idle during the reload
	}
	toll := fuss.Run(ctx)
	r.Values[record.Requests], r.Values[record.Failed] = float64(toll.Requests), float64(toll.Failed)
	r.Values[record.Closed], r.Values[record.Seconds] = float64(toll.Closed), fuss.Last.Seconds()
	r.Values[record.Struck] = float64(blows)
	return trouble
}

// errGone is returned when the server under test has exited.
var errGone = errors.New("the server has exited")

// blow kills one worker, or makes the server replace all of them.
func (b *Bench) blow(e record.Experiment, server *target.Server) error {
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
