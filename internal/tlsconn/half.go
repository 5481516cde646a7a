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

// half is the record protection of TLS 1.3 in one direction (RFC 8446 §5): the traffic secret,
// and the number of records protected with it. No number is used twice with a secret.
type half struct {
	secret [sha512.Size384]byte // as long as the suite's hash
	suite  uint16
	seq    uint64
	keys   *keys // nil: not derived yet
}

// keys are derived from a secret. An idle connection has none.
type keys struct {
	aead  cipher.AEAD
	iv    [12]byte
	nonce [12]byte // in the struct because arguments of the AEAD interface escape
}

// hashSize returns the length in bytes of the secrets of a cipher suite; 0: this record layer
// does not support the suite.
func hashSize(suite uint16) int {
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
		return sha256.Size
	case tls.TLS_AES_256_GCM_SHA384:
		return sha512.Size384
	}
	return 0
}

// newHalf returns a half with the secret. ok is false if Go refuses the cipher, as in FIPS 140
// mode, which forbids nonces from the caller.
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

// expand returns n bytes of HKDF-Expand-Label with an empty context (§7.1).
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
		panic(err) // it succeeded before
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

// overhead is the number of bytes by which a record is longer than its content.
const overhead = headerSize + 1 + tagSize

// seal appends a record with content, which has at most maxPlaintext bytes.
func (h *half) seal(out, content []byte, typ byte) []byte {
	if err := h.prepare(); err != nil {
		panic(err) // it succeeded before
	}
	start, n := len(out), len(content)+1+tagSize
	out = append(out, typeData, 3, 3, byte(n>>8), byte(n))
	out = append(out, content...)
	out = append(out, typ)
	body := start + headerSize
	return h.keys.aead.Seal(out[:body], h.next(), out[body:], out[start:body])
}

// open decrypts a record, appends its content to dst and returns its content type, 0 if it has
// none. The record is not changed. ok is false if authentication fails.
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
	for end := len(plain) - 1; end >= start; end-- { // skip the padding
		if plain[end] != 0 {
			return plain[:end], plain[end], true
		}
	}
	return plain[:start], 0, true
}
