package tlsconn

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
)

// half is one direction of the protection of records in TLS 1.3, RFC 8446 §5:
// a secret, from which key and nonces come, and how many records it has
// protected. No two records of a secret have one number.
type half struct {
	secret [sha512.Size384]byte // as long as the suite's hash
	suite  uint16
	seq    uint64
	keys   *keys // nil: to be made of the secret
}

// keys are what a secret protects records with. An idle connection has none.
type keys struct {
	aead  cipher.AEAD
	iv    [12]byte
	nonce [12]byte // here because the AEAD is an interface, whose arguments escape
}

// hashSize is the length of the secrets of a cipher suite; 0: the record layer
// does not know the suite.
func hashSize(suite uint16) int {
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
		return sha256.Size
	case tls.TLS_AES_256_GCM_SHA384:
		return sha512.Size384
	}
	return 0
}

// newHalf begins with a secret. It returns false if Go refuses the cipher, as
// it does under FIPS 140 rules that forbid nonces from outside.
func newHalf(suite uint16, secret []byte) (h half, ok bool) {
	if len(secret) != hashSize(suite) || len(secret) == 0 {
		return half{}, false
	}
	h.suite = suite
	copy(h.secret[:], secret)
	return h, h.prepare() == nil
}

// prepare derives the keys (§7.3).
func (h *half) prepare() error {
	if h.keys != nil {
		return nil
	}
	keySize := 16
	if h.suite == tls.TLS_AES_256_GCM_SHA384 {
		keySize = 32
	}
	block, err := aes.NewCipher(h.expand("key", keySize))
	if err != nil {
		return err
	}
	k := &keys{}
	copy(k.iv[:], h.expand("iv", len(k.iv)))
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return err
	}
	h.keys = k
	return nil
}

// expand is HKDF-Expand-Label with an empty context (§7.1).
func (h *half) expand(label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	info = append(info, 0)
	secret := h.secret[:hashSize(h.suite)]
	var key []byte
	var err error
	if len(secret) == sha256.Size {
		key, err = hkdf.Expand(sha256.New, secret, string(info), n)
	} else {
		key, err = hkdf.Expand(sha512.New384, secret, string(info), n)
	}
	if err != nil {
		panic(err) // n is far from the limit
	}
	return key
}

// update replaces the secret by the next one (§7.2).
func (h *half) update() {
	copy(h.secret[:], h.expand("traffic upd", hashSize(h.suite)))
	h.seq, h.keys = 0, nil
	if err := h.prepare(); err != nil {
		panic(err) // it was allowed before
	}
}

// next returns the nonce of the next record (§5.3).
func (h *half) next() []byte {
	k := h.keys
	k.nonce = k.iv
	binary.BigEndian.PutUint64(k.nonce[4:], binary.BigEndian.Uint64(k.iv[4:])^h.seq)
	h.seq++
	return k.nonce[:]
}

const tagSize = 16

// overhead is the number of bytes that a record adds to its content.
const overhead = headerSize + 1 + tagSize

// seal appends a record with the content, of at most maxPlaintext bytes.
func (h *half) seal(out, content []byte, typ byte) []byte {
	if err := h.prepare(); err != nil {
		panic(err) // it was allowed before
	}
	start, n := len(out), len(content)+1+tagSize
	out = append(out, typeData, 3, 3, byte(n>>8), byte(n))
	out = append(out, content...)
	out = append(out, typ)
	body := start + headerSize
	return h.keys.aead.Seal(out[:body], h.next(), out[body:], out[start:body])
}

// open appends what a record contains to dst, and returns its content type: 0
// if it has none. The record is not changed. It returns false if it is not the
// record that comes next.
func (h *half) open(dst, record []byte) (_ []byte, typ byte, ok bool) {
	if h.prepare() != nil {
		return dst, 0, false
	}
	start := len(dst)
	plain, err := h.keys.aead.Open(dst, h.next(), record[headerSize:], record[:headerSize])
	if err != nil {
		h.seq--
		return dst, 0, false
	}
	for end := len(plain) - 1; end >= start; end-- { // after the padding
		if plain[end] != 0 {
			return plain[:end], plain[end], true
		}
	}
	return plain[:start], 0, true
}
