// Package pool tests a running pool whose processes are killed, replaced and drained.
package pool

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
