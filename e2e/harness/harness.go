// Package harness holds what the end-to-end tests share. A test starts a real
// master, sends it requests over loopback, and reads /proc and the log. At the
// end it checks that no process is left: every master leads its own session, so
// the session ID identifies all its descendants, orphans included. Tests wait
// for conditions and do not sleep; the only pauses are those of slow clients.
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

// Main is the TestMain of every package of end-to-end tests: it sets up the
// environment, builds the programs, runs the tests and exits.
func Main(m *testing.M) { os.Exit(test(m)) }

// race is the flag to build the programs with the race detector.
var race = flag.Bool("programs.race", false, "test programs built with the race detector")

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

// raceLog returns the file to which a program writes the report of its race
// detector, with its pid appended. A report ends the program.
func raceLog() string { return filepath.Join(dirs.programs, "race") }

// races returns an error with the reports of all race detectors.
func races() error {
	found, err := filepath.Glob(raceLog() + ".*")
	for _, path := range found {
		text, read := os.ReadFile(path)
		err = errors.Join(err, read, errors.New(string(text)))
	}
	return err
}

// manyAtOnce lets more tests run in parallel than there are cores, because most
// tests mostly wait. A -test.parallel flag has precedence.
func manyAtOnce() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", "6")
}

// Models returns the values of --model.
func Models() []string { return []string{"process", "goroutine", "serial"} }

// ParallelModels returns the models that serve several clients at a time.
func ParallelModels() []string { return []string{"process", "goroutine"} }

// PoolSize returns how many workers a model has if n are configured.
func PoolSize(model string, n int) int {
	if model == "process" {
		return n
	}
	return 1
}

// Each runs a test as a parallel subtest for every name.
func Each(t *testing.T, names []string, test func(t *testing.T, name string)) {
	t.Helper()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name)
		})
	}
}

// Between returns a random duration from least to below most.
func Between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}
