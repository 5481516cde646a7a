// Package http2 tests HTTP/2 on the real server, over TLS and in cleartext.
package http2

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
