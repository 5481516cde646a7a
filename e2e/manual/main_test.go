// Package manual runs every command of the manual as its readers do.
package manual

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
