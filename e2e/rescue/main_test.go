// Package rescue kills workers at every point and looks whether a client
// notices.
package rescue

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
