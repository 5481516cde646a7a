package supervise

import "testing"

// Every pair of state and change is either in this table or an error.
func TestTransitions(t *testing.T) {
	states := []state{empty, starting, ready, draining, exited, backoff}
	changes := []change{spawn, report, drain, replace, detach, exit, retry}
	allowed := map[string]state{
		"empty spawn":     starting,
		"starting ready":  ready,
		"starting exit":   exited,
		"ready drain":     draining,
		"ready replace":   ready,
		"ready detach":    empty,
		"ready exit":      exited,
		"draining exit":   exited,
		"draining detach": empty,
		"exited retry":    backoff,
		"backoff spawn":   starting,
	}
	for _, s := range states {
		for _, c := range changes {
			want, ok := allowed[s.String()+" "+string(c)]
			got, err := next(s, c)
			if ok && (err != nil || got != want) {
				t.Errorf("%v in state %v: %v, %v, want %v", c, s, got, err, want)
			}
			if !ok && (err == nil || got != s) {
				t.Errorf("%v in state %v: %v, %v, want an error", c, s, got, err)
			}
		}
	}
}
