package serve

import "time"

// lookAround surveys the sessions each second, and lists them when somebody
// asks, until ended is closed.
func (w *Worker) lookAround(ended <-chan struct{}) {
	tick := time.NewTicker(lookAroundEvery)
	defer tick.Stop()
	for {
		w.survey()
		select {
		case <-tick.C:
		case to := <-w.cfg.Looks:
			to <- w.seen()
		case <-ended:
			w.survey()
			return
		}
	}
}

func (w *Worker) survey() {
	var v survey
	w.mu.Lock()
	for s := range w.sessions {
		s.mu.Lock()
		v.see(s.view)
		s.mu.Unlock()
	}
	w.mu.Unlock()
	v.publish(w.cfg.Row, &w.clock)
}

// seen lists all sessions.
func (w *Worker) seen() []Seen {
	now := w.clock.mono()
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Seen, 0, len(w.sessions))
	for s := range w.sessions {
		s.mu.Lock()
		view := s.view
		s.mu.Unlock()
		seen := Seen{"unknown", view, now - view.Since}
		if s.raw != nil {
			s.raw.Control(func(fd uintptr) { seen = see(int(fd), view, now) })
		}
		all = append(all, seen)
	}
	return all
}
