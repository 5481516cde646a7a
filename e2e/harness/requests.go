package harness

import (
	"slices"
	"time"
)

// AwaitRequests returns the request lines once there are so many.
func (s *Server) AwaitRequests(n int) []Event {
	s.T.Helper()
	events := s.Log.Await(s.T, 10*time.Second, "line for each request", s.Exited, func(all []Event) bool {
		return len(WithMessage(all, "request")) >= n
	})
	return WithMessage(events, "request")
}

// AwaitRequestOf returns the first request line of a client.
func (s *Server) AwaitRequestOf(c *Client) Event {
	s.T.Helper()
	return s.AwaitRequestWithin(10*time.Second, c)
}

// AwaitRequestWithin is AwaitRequestOf for a request that takes long.
func (s *Server) AwaitRequestWithin(within time.Duration, c *Client) Event {
	s.T.Helper()
	own := func(e Event) bool {
		return e.Text("message") == "request" && e.Text("client") == c.LocalAddr().String()
	}
	events := s.Log.Await(s.T, within, "request of "+c.LocalAddr().String(), s.Exited, func(all []Event) bool {
		return slices.ContainsFunc(all, own)
	})
	return events[slices.IndexFunc(events, own)]
}

// RecvSizes counts the sizes of the recv() calls in the log.
func (s *Server) RecvSizes() map[int]int {
	sizes := map[int]int{}
	events, _ := s.Log.All()
	for _, e := range WithMessage(events, "recv") {
		sizes[e.Number("bytes")]++
	}
	return sizes
}
