package netpoll

import (
	"bytes"

	"phalanx/internal/serve"
)

func (e *Engine) survey() {
	var v serve.Survey
	e.mu.Lock()
	for s := range e.sessions {
		s.mu.Lock()
		v.See(s.view)
		s.mu.Unlock()
	}
	e.mu.Unlock()
	v.Publish(e.cfg.Row, &e.clock)
}

// seen lists all sessions.
func (e *Engine) seen() []serve.Seen {
	now := e.clock.Mono()
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]serve.Seen, 0, len(e.sessions))
	for s := range e.sessions {
		s.mu.Lock()
		view := s.view
		view.Line = bytes.Clone(view.Line)
		s.mu.Unlock()
		seen := serve.Seen{Client: "unknown", View: view, Age: now - view.Since}
		if s.raw != nil {
			s.raw.Control(func(fd uintptr) { seen = serve.See(int(fd), s.client, view, now) })
		}
		all = append(all, seen)
	}
	return all
}
