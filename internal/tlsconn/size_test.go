package tlsconn

import (
	"testing"
	"unsafe"
)

// An idle connection is one of these and nothing else. The allocator has a size of 320
// bytes.
func TestConnIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 320 {
		t.Errorf("a connection takes %d bytes", size)
	}
}
