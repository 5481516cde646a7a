package eventloop

import "sync"

// mailbox passes values from any goroutine to the loop.
type mailbox[T any] struct {
	wake   int // eventfd of the loop
	mu     sync.Mutex
	values []T // guarded by mu
}

// put adds a value and wakes the loop.
func (m *mailbox[T]) put(v T) {
	m.mu.Lock()
	m.values = append(m.values, v)
	m.mu.Unlock()
	signal(m.wake)
}

// take returns the values that were put since the last call.
func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.values
	m.values = nil
	return all
}
