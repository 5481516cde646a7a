// Package deploy checks the files in deploy with the programs that they are for.
package deploy

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
