// Package https serves over TLS with the real programs: certificates, sessions, and
// clients that people use.
package https

import (
	"testing"

	"phalanx/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
