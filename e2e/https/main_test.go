// Package https tests TLS on the real server: certificates, sessions, and common clients.
package https

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
