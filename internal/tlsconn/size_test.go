package tlsconn

import (
	"testing"
	"unsafe"
)

// An idle connection is a Conn and nothing else. The allocator has a size class of 320 bytes.
func TestConnIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 320 {
		t.Errorf("a connection takes %d bytes, want at most 320", size)
	}
}
