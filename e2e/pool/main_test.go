// Package pool kills, replaces and drains the processes of a running pool.
package pool

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
