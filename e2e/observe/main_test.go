// Package observe tests the admin endpoint, top, the metrics and the logs of a running pool.
package observe

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
