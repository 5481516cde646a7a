// Package differential compares the replies of the real server with those of others.
package differential

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
