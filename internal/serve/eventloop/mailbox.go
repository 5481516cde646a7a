package eventloop

import "sync"

// mailbox passes values from any goroutine to the loop.
type mailbox[T any] struct {
	mu     sync.Mutex // guards the fields below
	wake   int        // eventfd of the loop; 0: it does not run
	values []T
}

// notify makes put signal an eventfd, or none if it is 0, before the eventfd is closed.
func (m *mailbox[T]) notify(wake int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wake = wake
}

// put adds a value and wakes the loop.
func (m *mailbox[T]) put(v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values = append(m.values, v); m.wake != 0 {
		signal(m.wake)
	}
}

// take returns the values that were put since the last call.
func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.values
	m.values = nil
	return all
}
