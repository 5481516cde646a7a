package proto

import (
	"bytes"
	"encoding/base64"
)

// wantsSHA256 reports whether a line of Want-Repr-Digest asks for SHA-256 (RFC 9530 §4);
// before is the result of the lines before it. The field is a dictionary of algorithms with
// preferences from 1 to 10, or 0 for none. The last of repeated members applies (RFC 9651
// §3.2).
func wantsSHA256(value []byte, before bool) (wants bool) {
	wants = before
	for member := range bytes.SplitSeq(value, []byte(",")) {
		name, preference, ok := bytes.Cut(Trim(member), []byte("="))
		if !ok || string(name) != "sha-256" {
			continue
		}
		preference, _, _ = bytes.Cut(preference, []byte(";")) // parameters are ignored
		one := len(preference) == 1 && '1' <= preference[0] && preference[0] <= '9'
		wants = one || string(preference) == "10"
	}
	return wants
}

// AppendReprDigest appends the field Repr-Digest with the SHA-256 digest sum (RFC 9530 §3).
func AppendReprDigest(dst, sum []byte) []byte {
	dst = append(dst, "Repr-Digest: sha-256=:"...)
	return append(base64.StdEncoding.AppendEncode(dst, sum), ":\r\n"...)
}
