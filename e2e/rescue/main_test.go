// Package rescue kills workers at every marked point and checks that no client notices.
package rescue

import (
	"fmt"
	"os"
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == asInContainer {
		fmt.Fprintln(os.Stderr, execute(os.Args[2:]))
		os.Exit(1)
	}
	harness.Main(m)
}
