package proto

// Field is a request header field that this server uses.
type Field uint8

// The fields that this server uses. Others are checked for syntax and ignored.
const (
	FieldHost Field = iota
	FieldConnection
	FieldContentLength
	FieldTransferEncoding
	FieldExpect
	FieldRange
	FieldIfRange
	FieldIfMatch
	FieldIfNoneMatch
	FieldIfModifiedSince
	FieldIfUnmodifiedSince
	FieldAccept
	FieldAcceptEncoding
	FieldOrigin
	FieldReferer
	FieldUserAgent
	FieldSecFetchMode
	FieldSecFetchDest
	FieldRequestID // X-Request-Id, not in an RFC but used by most proxies
	FieldAuthorization
	numFields
	fieldWantReprDigest = numFields     // stored only as [Request.WantsDigest]
	fieldOther          = numFields + 1 // all others
)

// singletons are the fields that senders must not repeat (RFC 9110 §5.3). A head that repeats
// one is refused: requests are smuggled and caches poisoned when two parties pick different
// values. Dates are not among them: repeated ones must be ignored (§13.1.3, §13.1.4).
const singletons = 1<<FieldHost | 1<<FieldContentLength | 1<<FieldTransferEncoding |
	1<<FieldExpect | 1<<FieldRange | 1<<FieldIfRange | 1<<FieldOrigin | 1<<FieldAuthorization

// lookupField returns the field with a name, which is case-insensitive (RFC 9110 §5.1).
func lookupField(name []byte) Field {
	switch len(name) {
	case 4:
		return match(name, "host", FieldHost)
	case 5:
		return match(name, "range", FieldRange)
	case 6:
		switch name[0] | 0x20 {
		case 'a':
			return match(name, "accept", FieldAccept)
		case 'e':
			return match(name, "expect", FieldExpect)
		case 'o':
			return match(name, "origin", FieldOrigin)
		}
	case 7:
		return match(name, "referer", FieldReferer)
	case 8:
		if name[3]|0x20 == 'm' {
			return match(name, "if-match", FieldIfMatch)
		}
		return match(name, "if-range", FieldIfRange)
	case 10:
		if name[0]|0x20 == 'u' {
			return match(name, "user-agent", FieldUserAgent)
		}
		return match(name, "connection", FieldConnection)
	case 12:
		return match(name, "x-request-id", FieldRequestID)
	case 13:
		if name[0]|0x20 == 'a' {
			return match(name, "authorization", FieldAuthorization)
		}
		return match(name, "if-none-match", FieldIfNoneMatch)
	case 14:
		switch name[10] | 0x20 {
		case 'm':
			return match(name, "sec-fetch-mode", FieldSecFetchMode)
		case 'd':
			return match(name, "sec-fetch-dest", FieldSecFetchDest)
		}
		return match(name, "content-length", FieldContentLength)
	case 15:
		return match(name, "accept-encoding", FieldAcceptEncoding)
	case 16:
		return match(name, "want-repr-digest", fieldWantReprDigest)
	case 17:
		if name[0]|0x20 == 't' {
			return match(name, "transfer-encoding", FieldTransferEncoding)
		}
		return match(name, "if-modified-since", FieldIfModifiedSince)
	case 19:
		return match(name, "if-unmodified-since", FieldIfUnmodifiedSince)
	}
	return fieldOther
}

func match(name []byte, lower string, f Field) Field {
	if EqualFold(name, lower) {
		return f
	}
	return fieldOther
}
