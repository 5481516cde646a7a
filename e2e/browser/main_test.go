// Package browser uses the real server from Chromium and Firefox.
package browser

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
