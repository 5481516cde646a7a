package harness

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Journal keeps the output of a program and parses its lines of JSON as they
// arrive.
type Journal struct {
	mu     sync.Mutex
	data   []byte
	parsed int // how much of data has been split into lines
	events []Event
	odd    []string      // whole lines that are not JSON
	more   chan struct{} // closed and replaced at every write
}

// NewJournal returns an empty journal.
func NewJournal() *Journal { return &Journal{more: make(chan struct{})} }

// Write appends output of the program. It never fails.
func (j *Journal) Write(p []byte) (int, error) {
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
		var e Event
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

// String returns the output so far.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.data)
}

// Tail returns the last 2000 bytes of the output, for messages.
func (j *Journal) Tail() string {
	text := j.String()
	return text[max(0, len(text)-2000):]
}

// Lines returns the lines of the output, which must end in a newline.
func (j *Journal) Lines() []string {
	text := j.String()
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// All returns the events so far, and the lines that are not JSON.
func (j *Journal) All() ([]Event, []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clip(j.events), slices.Clip(j.odd)
}

// Await returns the events once ok holds for them. It fails the test if the time
// is over or exited is closed before that; what names the missing event.
func (j *Journal) Await(t *testing.T, within time.Duration, what string, exited <-chan struct{}, ok func([]Event) bool) []Event {
	t.Helper()
	late := time.After(InTime(within))
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
			// The last output may arrive together with the exit.
			if events, _ := j.All(); ok(events) {
				return events
			}
			t.Fatalf("the program exited and its log has no %s:\n%s", what, j.Tail())
		case <-late:
			// This process may have been stopped meanwhile.
			if events, _ := j.All(); ok(events) {
				return events
			}
			t.Fatalf("the log has no %s within %v:\n%s", what, InTime(within), j.Tail())
		}
	}
}

// Event is a line of the log.
type Event map[string]any

// Text returns a field, or "" if it is not a string.
func (e Event) Text(key string) string {
	s, _ := e[key].(string)
	return s
}

// Number returns a field, or -1 if it is not a number.
func (e Event) Number(key string) int {
	n, ok := e[key].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

// WithMessage returns the events with the given message.
func WithMessage(all []Event, message string) []Event {
	var some []Event
	for _, e := range all {
		if e.Text("message") == message {
			some = append(some, e)
		}
	}
	return some
}
