package acme

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain lets all tests that wait run at the same time, however few cores there are.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "16"); err != nil { // unless the command line has another
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
