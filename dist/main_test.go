package dist

import (
	"os"
	"syscall"
	"testing"
)

// TestMain sets the umask, so that the users who serve in the tests can read their files.
func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	os.Exit(m.Run())
}
