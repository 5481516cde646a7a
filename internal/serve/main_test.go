package serve_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"phalanx/internal/serve/servetest"
)

// TestMain runs tests that wait in parallel, however few cores there are, and fails if one has left a
// goroutine or a descriptor over.
func TestMain(m *testing.M) { os.Exit(test(m)) }

func test(m *testing.M) int {
	const atOnce = 16
	// An event loop keeps one of Go's Ps to itself while it works (options.Procs).
	runtime.GOMAXPROCS(atOnce + 1)
	err := flag.Set("test.parallel", strconv.Itoa(atOnce)) // unless set on the command line
	before, held := servetest.Holds()
	if err = errors.Join(err, held); err == nil {
		if code := m.Run(); code != 0 {
			return code
		}
		err = before.Leaked()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
