// Package limits attacks a running pool, beside a well-behaved client.
package limits

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
