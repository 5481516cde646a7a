// Package limits tests the connection limits of a running pool under attack.
package limits

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
