package harness

import (
	"fmt"
	"slices"
	"time"
)

// AwaitMessages waits until the log has n lines with a message and returns all of them.
func (s *Server) AwaitMessages(n int, message string) []Event {
	s.T.Helper()
	events := s.Log.Await(s.T, 30*time.Second, fmt.Sprintf("%d lines %q", n, message), s.Exited, func(all []Event) bool {
		return len(WithMessage(all, message)) >= n
	})
	return WithMessage(events, message)
}

// AwaitRequests waits until the log has n request lines and returns all of them.
func (s *Server) AwaitRequests(n int) []Event {
	s.T.Helper()
	return s.AwaitMessages(n, "request")
}

// AwaitRequestOf waits for the first request line of a client.
func (s *Server) AwaitRequestOf(c *Client) Event {
	s.T.Helper()
	return s.AwaitRequestWithin(10*time.Second, c)
}

// AwaitRequestWithin is AwaitRequestOf with a different time limit.
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

// RecvSizes counts the recv() calls in the log by size.
func (s *Server) RecvSizes() map[int]int {
	sizes := map[int]int{}
	events, _ := s.Log.All()
	for _, e := range WithMessage(events, "recv") {
		sizes[e.Number("bytes")]++
	}
	return sizes
}
