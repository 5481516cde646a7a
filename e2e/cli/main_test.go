// Package cli starts the real binaries with valid and invalid flags, variables and files.
package cli

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
