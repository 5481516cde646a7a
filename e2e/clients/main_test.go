// Package clients tests the real server with curl, wget, apt, git and other clients.
package clients

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
