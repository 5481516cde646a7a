// Package clients has curl, wget, apt, git and the like use the real server.
package clients

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
