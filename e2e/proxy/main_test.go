// Package proxy tests the real server behind HAProxy and nginx.
package proxy

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
