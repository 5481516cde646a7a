// Package chaos does to a server under load everything that it promises to survive.
package chaos

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
