package dist

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestMain sets the umask, so that the users who serve in the tests can read their files, and removes variables that
// git, as in a hook, and the programs would obey.
func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "GIT_") || strings.HasPrefix(name, "PHALANX_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
