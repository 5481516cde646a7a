package website

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// appendID appends 128 random bits as hexadecimal digits: the id of a request
// that came without one. It has to be unique, and need not be secret.
func appendID(dst []byte) []byte {
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return hex.AppendEncode(dst, id[:])
}
