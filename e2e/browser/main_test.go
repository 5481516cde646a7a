// Package browser opens pages of the real server in Chromium.
package browser

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
