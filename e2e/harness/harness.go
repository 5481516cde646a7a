// Package harness is what the tests of the real binaries share. A test starts
// a master, speaks to it over loopback, looks into /proc and the log, and ends
// by looking at what is left: every master leads a session of its own, so the
// session's number names its whole tree, orphans included. Whatever can be
// waited for is waited for; the only pauses are a slow client's.
package harness

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// Main is the TestMain of every package of tests: it makes the environment a
// known one, builds the programs and runs the tests.
func Main(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	remove, err := makeDirs()
	defer remove()
	if err == nil {
		err = manyAtOnce()
	}
	if err == nil {
		err = enclose()
	}
	if err == nil {
		err = buildPrograms(dirs.programs, "test", "sh", "scripts/build.sh")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// manyAtOnce lets more tests run in parallel than there are cores, because
// most of them wait most of the time.
func manyAtOnce() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", "6")
}

// Models are the values of --model.
func Models() []string { return []string{"process", "goroutine", "serial"} }

// ParallelModels are the models that serve several clients at a time.
func ParallelModels() []string { return []string{"process", "goroutine"} }

// PoolSize is how many workers a model has when told to have n at most.
func PoolSize(model string, n int) int {
	if model == "process" {
		return n
	}
	return 1
}

// Each runs a test once for every name, all at the same time.
func Each(t *testing.T, names []string, test func(t *testing.T, name string)) {
	t.Helper()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name)
		})
	}
}

// Between is a duration from least to below most.
func Between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}
