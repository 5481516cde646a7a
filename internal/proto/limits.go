package proto

// Limits of requests. They bound memory and time per connection.
const (
	// MaxRequestLine is the longest request line in bytes, without its CRLF; RFC 9112 §3
	// recommends at least 8,000. Longer: 414.
	MaxRequestLine = 8 << 10
	// MaxHead is the longest request head in bytes, from its first byte to
	// the end of the empty line. Longer: 431 (RFC 6585 §5).
	MaxHead = 16 << 10
	// MaxFields is the largest number of field lines in a head. More: 431.
	MaxFields = 100
	// MaxBody is the largest request body in bytes that is read and discarded. Longer: 413.
	MaxBody = 1 << 20
	// maxLengthDigits limits Content-Length: 18 digits always fit an int64.
	maxLengthDigits = 18
)
