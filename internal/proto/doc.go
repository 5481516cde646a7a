// Package proto is HTTP/1.1 as pure functions over bytes.
//
// A [Parser] reads a request head from whatever bytes have arrived so far and
// says one of three things: more is needed, the head is complete, or it is
// refused and with which status. A [Request] refers to the head by offsets
// ([Span]) and holds no pointer, so that it can be moved together with its
// bytes. The rest decides what RFC 9110 leaves to pure thought (ranges,
// preconditions, codings) and appends response heads to a caller's buffer.
// Nothing here knows a socket, a file, a clock or a logger.
package proto
