package supervise

import "fmt"

// state is the state of a slot.
type state int

const (
	empty    state = iota // no process; one may be started
	starting              // a process runs and has not said Ready
	ready                 // the process may serve
	draining              // the pool has ordered a drain
	exited                // the process has exited
	backoff               // the next process is started at a known time
)

func (s state) String() string {
	return [...]string{"empty", "starting", "ready", "draining", "exited", "backoff"}[s]
}

// change is what happens to a slot.
type change string

const (
	spawn   change = "spawn"
	report  change = "ready" // the worker is ready
	drain   change = "drain"
	replace change = "replace" // another worker is ready and replaces this one
	detach  change = "detach"  // the worker drains, and leaves the slot to another
	exit    change = "exit"
	retry   change = "retry" // another process will be started at a known time
)

// next is the transition table: the only place that knows which state follows which. All other
// transitions are errors.
func next(from state, c change) (state, error) {
	type pair struct {
		from state
		c    change
	}
	to, ok := map[pair]state{
		{empty, spawn}:     starting,
		{starting, report}: ready,
		{starting, exit}:   exited,
		{ready, drain}:     draining,
		{ready, replace}:   ready,
		{ready, detach}:    empty,
		{ready, exit}:      exited,
		{draining, exit}:   exited,
		{draining, detach}: empty,
		{exited, retry}:    backoff,
		{backoff, spawn}:   starting,
	}[pair{from, c}]
	if !ok {
		return from, fmt.Errorf("slot is %v: cannot %v", from, c)
	}
	return to, nil
}
