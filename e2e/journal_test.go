package e2e

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// journal keeps what a program writes and understands its lines of JSON as
// they come.
type journal struct {
	mu     sync.Mutex
	data   []byte
	parsed int // how much of data has been split into lines
	events []event
	odd    []string      // whole lines that are not JSON
	more   chan struct{} // closed and replaced at every write
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

// Write takes what the program has written.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.data = append(j.data, p...)
	for {
		end := bytes.IndexByte(j.data[j.parsed:], '\n')
		if end < 0 {
			break
		}
		line := j.data[j.parsed : j.parsed+end]
		j.parsed += end + 1
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			j.odd = append(j.odd, string(line))
			continue
		}
		j.events = append(j.events, e)
	}
	close(j.more)
	j.more = make(chan struct{})
	return len(p), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.data)
}

// tail is the end of the text, for messages.
func (j *journal) tail() string {
	text := j.String()
	return text[max(0, len(text)-2000):]
}

// lines are the lines of the text, which has to end in a newline.
func (j *journal) lines() []string {
	text := j.String()
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// all returns the events so far, and the lines that are none.
func (j *journal) all() ([]event, []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clip(j.events), slices.Clip(j.odd)
}

// await returns the events once ok holds for them.
func (j *journal) await(t *testing.T, within time.Duration, what string, exited <-chan struct{}, ok func([]event) bool) []event {
	t.Helper()
	late := time.After(within)
	for {
		j.mu.Lock()
		events, more := slices.Clip(j.events), j.more
		j.mu.Unlock()
		if ok(events) {
			return events
		}
		select {
		case <-more:
		case <-exited:
			// What was written last may have come with the exit.
			if events, _ := j.all(); ok(events) {
				return events
			}
			t.Fatalf("the program ended and its log has no %s:\n%s", what, j.tail())
		case <-late:
			t.Fatalf("the log has no %s within %v:\n%s", what, within, j.tail())
		}
	}
}

// event is a line of the log.
type event map[string]any

func (e event) text(key string) string {
	s, _ := e[key].(string)
	return s
}

func (e event) number(key string) int {
	n, ok := e[key].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

// withMessage are the events of one kind.
func withMessage(all []event, message string) []event {
	var some []event
	for _, e := range all {
		if e.text("message") == message {
			some = append(some, e)
		}
	}
	return some
}

// awaitRequests returns the request lines once there are so many.
func (s *server) awaitRequests(n int) []event {
	s.t.Helper()
	events := s.log.await(s.t, 10*time.Second, "line for each request", s.exited, func(all []event) bool {
		return len(withMessage(all, "request")) >= n
	})
	return withMessage(events, "request")
}

// awaitRequestOf returns the first request line of a client.
func (s *server) awaitRequestOf(c *client) event {
	s.t.Helper()
	return s.awaitRequestWithin(10*time.Second, c)
}

func (s *server) awaitRequestWithin(within time.Duration, c *client) event {
	s.t.Helper()
	own := func(e event) bool {
		return e.text("message") == "request" && e.text("client") == c.LocalAddr().String()
	}
	events := s.log.await(s.t, within, "request of "+c.LocalAddr().String(), s.exited, func(all []event) bool {
		return slices.ContainsFunc(all, own)
	})
	return events[slices.IndexFunc(events, own)]
}
