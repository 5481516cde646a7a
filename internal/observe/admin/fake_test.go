package admin

import (
	"context"
	"sync"

	"phalanx/internal/observe/status"
)

// fakePool is a pool in the state that the test sets.
type fakePool struct {
	mu     sync.Mutex
	pool   status.Pool
	err    error
	list   status.Connections
	listed error
	scaled int
	order  func(ctx context.Context) status.Outcome // nil: done at once
	look   func()                                   // nil: nothing
}

func (f *fakePool) set(change func(*fakePool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakePool) Look() (status.Pool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.look != nil {
		f.look()
	}
	return f.pool, f.err
}

func (f *fakePool) Connections(slot, pid int) (status.Connections, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listed == nil && (slot != f.list.Slot || pid != f.list.PID) {
		return status.Connections{}, status.ErrNoWorker
	}
	return f.list, f.listed
}

func (f *fakePool) Reload(ctx context.Context) status.Outcome { return f.carryOut(ctx, "reloaded") }
func (f *fakePool) Stop() status.Outcome                      { return f.carryOut(context.Background(), "stopping") }

func (f *fakePool) Scale(ctx context.Context, n int) status.Outcome {
	f.set(func(f *fakePool) { f.scaled = n })
	return f.carryOut(ctx, "scaled")
}

func (f *fakePool) carryOut(ctx context.Context, done string) status.Outcome {
	if f.order != nil {
		return f.order(ctx)
	}
	return status.Outcome{OK: true, Message: done}
}
