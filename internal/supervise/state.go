package supervise

import "fmt"

// state is what a slot is at.
type state int

const (
	empty    state = iota // no process, and nothing against starting one
	starting              // a process runs and has not said Ready
	ready                 // it may serve
	draining              // the pool told it to finish and go
	exited                // its process is gone
	backoff               // it gets another process at a known time
)

func (s state) String() string {
	return [...]string{"empty", "starting", "ready", "draining", "exited", "backoff"}[s]
}

// change is what happens to a slot.
type change int

const (
	spawn change = iota
	hello        // the worker said Ready
	drain
	succeed // another worker has come up and takes its place
	leave   // the worker drains without having been told to, and gives the slot away
	exit
	wait // for another process
)

func (c change) String() string {
	return [...]string{"spawn", "ready", "drain", "succeed", "leave", "exit", "wait"}[c]
}

// next is the transition table, the one place that knows which states
// follow which. Whatever is not in it is an error.
func next(from state, c change) (state, error) {
	type pair struct {
		from state
		c    change
	}
	to, ok := map[pair]state{
		{empty, spawn}:    starting,
		{starting, hello}: ready,
		{starting, exit}:  exited,
		{ready, drain}:    draining,
		{ready, succeed}:  ready,
		{ready, leave}:    empty,
		{ready, exit}:     exited,
		{draining, exit}:  exited,
		{exited, wait}:    backoff,
		{backoff, spawn}:  starting,
	}[pair{from, c}]
	if !ok {
		return from, fmt.Errorf("slot is %v: cannot %v", from, c)
	}
	return to, nil
}
