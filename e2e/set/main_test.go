// Package set tests several nodes behind a load balancer, each in a network namespace of its own, that are
// stopped, upgraded and killed.
package set

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"phalanx/e2e/harness"
)

// inside is set in the environment of the tests that run in the namespaces.
const inside = "PHALANX_TEST_INSIDE"

// TestMain runs the tests in network, mount and PID namespaces of their own, where they may create networks.
// Processes that are left at the end are killed with the namespaces.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Unsetenv(inside)
		harness.Main(m)
	}
	flags := []string{"--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Geteuid() != 0 {
		flags = append(flags, "--map-root-user")
	}
	cmd := exec.Command("unshare", append(append(flags, "/proc/self/exe"), os.Args[1:]...)...)
	self, err := os.Executable()
	if err == nil {
		cmd.Args[len(flags)+1] = self
	}
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "tests in namespaces: %v; apt-get install util-linux\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}
