// Package proxy puts real proxies in front of the real server.
package proxy

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
