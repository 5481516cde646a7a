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

// Journal keeps what a program writes and understands its lines of JSON as
// they come.
type Journal struct {
	mu     sync.Mutex
	data   []byte
	parsed int // how much of data has been split into lines
	events []Event
	odd    []string      // whole lines that are not JSON
	more   chan struct{} // closed and replaced at every write
}

// NewJournal is empty.
func NewJournal() *Journal { return &Journal{more: make(chan struct{})} }

// Write takes what the program has written.
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

// String is all that was written.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.data)
}

// Tail is the end of the text, for messages.
func (j *Journal) Tail() string {
	text := j.String()
	return text[max(0, len(text)-2000):]
}

// Lines are the lines of the text, which has to end in a newline.
func (j *Journal) Lines() []string {
	text := j.String()
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// All returns the events so far, and the lines that are none.
func (j *Journal) All() ([]Event, []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clip(j.events), slices.Clip(j.odd)
}

// Await returns the events once ok holds for them.
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
			// What was written last may have come with the exit.
			if events, _ := j.All(); ok(events) {
				return events
			}
			t.Fatalf("the program ended and its log has no %s:\n%s", what, j.Tail())
		case <-late:
			t.Fatalf("the log has no %s within %v:\n%s", what, InTime(within), j.Tail())
		}
	}
}

// Event is a line of the log.
type Event map[string]any

// Text is a field, or empty where it is no text.
func (e Event) Text(key string) string {
	s, _ := e[key].(string)
	return s
}

// Number is a field, or -1 where it is no number.
func (e Event) Number(key string) int {
	n, ok := e[key].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

// WithMessage are the events of one kind.
func WithMessage(all []Event, message string) []Event {
	var some []Event
	for _, e := range all {
		if e.Text("message") == message {
			some = append(some, e)
		}
	}
	return some
}
