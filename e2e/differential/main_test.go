// Package differential compares the responses of the real server with those of other servers.
package differential

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
