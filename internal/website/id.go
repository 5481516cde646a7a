package website

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// appendID appends 128 random bits in hexadecimal: the id of a request that has none. It
// must be unique, but need not be secret.
func appendID(dst []byte) []byte {
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return hex.AppendEncode(dst, id[:])
}
