// Package harness is what the tests of the real binaries share. A test starts
// a master, speaks to it over loopback, looks into /proc and the log, and ends
// by looking at what is left: every master leads a session of its own, so the
// session's number names its whole tree, orphans included. Whatever can be
// waited for is waited for; the only pauses are a slow client's.
package harness

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Main is the TestMain of every package of tests: it makes the environment a
// known one, builds the programs and runs the tests.
func Main(m *testing.M) { os.Exit(test(m)) }

// race has the programs built with the race detector.
var race = flag.Bool("programs.race", false, "test programs that are built with the race detector")

func test(m *testing.M) (code int) {
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
		err = buildPrograms(dirs.programs)
	}
	if err == nil {
		code = m.Run()
		err = races()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// raceLog is where a program writes what its race detector has found, its pid
// appended. The program ends with it.
func raceLog() string { return filepath.Join(dirs.programs, "race") }

// races is an error with all that race detectors have found.
func races() error {
	found, err := filepath.Glob(raceLog() + ".*")
	for _, path := range found {
		text, read := os.ReadFile(path)
		err = errors.Join(err, read, errors.New(string(text)))
	}
	return err
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
