// Package http2 has clients of HTTP/2 use the real server, over TLS and in the clear.
package http2

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
