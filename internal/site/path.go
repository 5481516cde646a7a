package site

import (
	"bytes"

	"phalanx/internal/proto"
)

// clean decodes the path of a request target and appends it to dst as a
// name relative to the root: without slashes at its start, with single
// slashes inside, and with one at its end if the path had one. An empty name
// is the root. One byte of dst's capacity is left free.
//
// "." as an element is dropped according to RFC 3986 §5.2.4, since clients such as apt send
// it. Elements that regular clients never send are refused, not repaired: ".." in any
// encoding, an encoded slash, and NUL give 404, as hidden names do; a "%" without two
// hexadecimal digits gives 400.
func (r *Root) clean(dst, path []byte) ([]byte, proto.Status) {
	start := 0 // of the current element in dst
	for i := 0; i < len(path); i++ {
		if len(dst)+1 >= cap(dst) {
			return r.refuse(proto.StatusNotFound, PathTooLong)
		}
		c := path[i]
		switch c {
		case '/':
			if dst = dropDot(dst, start); len(dst) == start {
				continue // a leading or a doubled slash
			}
			if r.hides(dst[start:]) {
				return r.refuseHidden(dst[start:])
			}
			dst = append(dst, '/')
			start = len(dst)
			continue
		case '%':
			decoded, ok := proto.Unescape(path[i:])
			if !ok {
				return r.refuse(proto.StatusBadRequest, PathMalformed)
			}
			if decoded == '/' {
				return r.refuse(proto.StatusNotFound, PathSlash)
			}
			c = decoded
			i += 2
		}
		if c == 0 {
			return r.refuse(proto.StatusNotFound, PathNUL)
		}
		dst = append(dst, c)
	}
	if dst = dropDot(dst, start); r.hides(dst[start:]) {
		return r.refuseHidden(dst[start:])
	}
	if r.isRules(dst) {
		return r.refuse(proto.StatusNotFound, PathRules)
	}
	if r.tell != nil {
		r.tell(Finding{Kind: PathNamed, Path: string(path), Name: string(dst)})
	}
	return dst, proto.StatusOK
}

// dropDot drops the element from start on if it is ".".
func dropDot(dst []byte, start int) []byte {
	if string(dst[start:]) == "." {
		return dst[:start]
	}
	return dst
}

// hides reports whether an element is never served: "." and "..", those with OwnPrefix, and
// others that begin with a dot unless the policy shows them. /.well-known/ is always served,
// which is its purpose (RFC 8615).
func (r *Root) hides(element []byte) bool {
	if len(element) == 0 || element[0] != '.' {
		return false
	}
	return isDots(element) || !r.policy.Dotfiles && string(element) != ".well-known" || bytes.HasPrefix(element, []byte(OwnPrefix))
}

// OwnPrefix begins the names of files that the program itself writes into a document root,
// such as the journal of phalanx compress. They are never served.
const OwnPrefix = ".phalanx-"

// isDots reports whether an element is "." or "..".
func isDots(element []byte) bool { return string(element) == "." || string(element) == ".." }
