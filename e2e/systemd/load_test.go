package systemd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is a group of clients that request the page, each time on a new connection.
type load struct {
	asked, refused, failed atomic.Int64
	last                   atomic.Value // the text of an error
	stop                   context.CancelFunc
	done                   sync.WaitGroup
}

func (m *machine) load() *load {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	l := &load{stop: stop}
	for range 4 {
		l.done.Go(func() {
			for ctx.Err() == nil {
				err := m.ask(80)
				switch l.asked.Add(1); {
				case errors.Is(err, syscall.ECONNREFUSED):
					l.refused.Add(1)
					l.last.Store(err.Error())
				case err != nil:
					l.failed.Add(1)
					l.last.Store(err.Error())
				}
			}
		})
	}
	return l
}

// end stops the clients. It returns how many requests were refused and how many failed for other
// reasons.
func (l *load) end(t *testing.T, what string) (refused, failed int64) {
	t.Helper()
	l.stop()
	l.done.Wait()
	t.Logf("%s: %d requests, %d refused, %d failed otherwise (%v)", what, l.asked.Load(), l.refused.Load(), l.failed.Load(), l.last.Load())
	if l.asked.Load() < 10 {
		t.Errorf("%s: only %d requests, want at least 10", what, l.asked.Load())
	}
	return l.refused.Load(), l.failed.Load()
}

// endWithoutFailures ends a load and reports failed requests.
func (m *machine) endWithoutFailures(l *load, what string) {
	m.t.Helper()
	if refused, failed := l.end(m.t, what); refused+failed > 0 {
		m.t.Errorf("%s: %d requests refused, %d failed", what, refused, failed)
	}
}
