// Package proto implements HTTP/1.1 as pure functions over bytes.
//
// A [Parser] parses a request head incrementally: it needs more bytes, is complete, or refuses
// the head with a status. A [Request] refers to the head by offsets ([Span]) and holds no
// pointer, so that it can be moved together with its bytes. Other functions evaluate ranges,
// preconditions and codings (RFC 9110), and append response heads to a caller's buffer. The
// package uses no socket, file, clock or logger.
package proto
