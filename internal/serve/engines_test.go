package serve_test

import (
	"testing"

	"phalanx/internal/serve"
	"phalanx/internal/serve/eventloop"
	"phalanx/internal/serve/netpoll"
	"phalanx/internal/serve/servetest"
)

// engines are both engines.
var engines = []struct {
	name string
	run  servetest.Run
}{
	{"netpoll", runNetpoll},
	{"eventloop", func(cfg serve.Config, listeners []serve.Listener, orders *serve.Orders) error {
		l, err := eventloop.New(cfg)
		if err != nil {
			return err
		}
		return l.Run(listeners, orders)
	}},
}

func runNetpoll(cfg serve.Config, listeners []serve.Listener, orders *serve.Orders) error {
	return netpoll.New(cfg).Run(listeners, orders)
}

// withFile returns a directory with a file f of n bytes.
func withFile(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	servetest.Noise(t, dir+"/f", n)
	return dir
}

// eachEngine runs a test with each engine, and fails if a goroutine or a descriptor is left over.
func eachEngine(t *testing.T, test func(t *testing.T, run servetest.Run)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			servetest.NoLeaks(t, func(t *testing.T) { test(t, e.run) })
		})
	}
}

// eachEngineAtOnce is eachEngine for a test that mostly waits: it runs both engines in parallel, with other
// such tests. TestMain checks for leaks.
func eachEngineAtOnce(t *testing.T, test func(t *testing.T, run servetest.Run)) {
	t.Helper()
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, e.run)
		})
	}
}
