// Package observe looks into a running pool: its admin endpoint, top, metrics and logs.
package observe

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
