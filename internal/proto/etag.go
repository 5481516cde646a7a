package proto

import (
	"encoding/base64"
	"strconv"
)

// AppendETag appends a strong entity tag made of the file's modification time in ns since 1970
// (modulo 2^64, which is 584 years), its size in bytes, both in hexadecimal, and the name of
// its content coding, if any: each coding of a file is a representation of its own (RFC 9110
// §8.8.3.3).
func AppendETag(dst []byte, mtime Time, size int64, coding string) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendUint(dst, uint64(mtime.Sec)*1e9+uint64(mtime.Nsec), 16)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, uint64(size), 16)
	if coding != "" {
		dst = append(dst, '-')
		dst = append(dst, coding...)
	}
	return append(dst, '"')
}

// Digest is the SHA-256 digest of a content.
type Digest [32]byte

// AppendContentTag appends a strong entity tag made of a content's SHA-256 digest: 128 bits of
// it in URL-safe base64. It is the same on every server with the same content.
func AppendContentTag(dst, sum []byte) []byte {
	dst = append(dst, '"')
	dst = base64.RawURLEncoding.AppendEncode(dst, sum[:16])
	return append(dst, '"')
}

// cutETag splits off the entity tag (RFC 9110 §8.8.3) at the start of p. tag includes its
// quotes but not "W/". ok is false if p does not begin with a tag.
func cutETag(p []byte) (tag []byte, weak bool, rest []byte, ok bool) {
	if len(p) >= 2 && p[0] == 'W' && p[1] == '/' {
		weak, p = true, p[2:]
	}
	if len(p) == 0 || p[0] != '"' {
		return nil, false, nil, false
	}
	for i := 1; i < len(p); i++ {
		switch c := p[i]; {
		case c == '"':
			return p[:i+1], weak, p[i+1:], true
		case c <= ' ' || c == 0x7f:
			return nil, false, nil, false
		}
	}
	return nil, false, nil, false
}

// listed reports whether the list of entity tags in value contains tag, by strong or weak
// comparison (RFC 9110 §8.8.3.2). A malformed list ends where it is malformed.
func listed(value, tag []byte, strong bool) bool {
	for {
		value = Trim(value)
		for len(value) > 0 && value[0] == ',' {
			value = Trim(value[1:])
		}
		other, weak, rest, ok := cutETag(value)
		if !ok {
			return false
		}
		if string(other) == string(tag) && !(strong && weak) {
			return true
		}
		if value = Trim(rest); len(value) > 0 && value[0] != ',' {
			return false
		}
	}
}
