// Package chaos disrupts a server under load in every way that it should survive.
package chaos

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
