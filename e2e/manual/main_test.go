// Package manual runs the commands of the documentation as its readers would.
package manual

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
