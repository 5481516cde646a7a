package proto

import "strconv"

// Status is a status code of RFC 9110 §15.
type Status uint16

// The status codes that this server sends.
const (
	StatusContinue             Status = 100
	StatusOK                   Status = 200
	StatusNoContent            Status = 204
	StatusPartialContent       Status = 206
	StatusMovedPermanently     Status = 301
	StatusFound                Status = 302
	StatusSeeOther             Status = 303
	StatusNotModified          Status = 304
	StatusTemporaryRedirect    Status = 307
	StatusPermanentRedirect    Status = 308
	StatusBadRequest           Status = 400
	StatusUnauthorized         Status = 401
	StatusForbidden            Status = 403
	StatusNotFound             Status = 404
	StatusMethodNotAllowed     Status = 405
	StatusRequestTimeout       Status = 408
	StatusGone                 Status = 410
	StatusPreconditionFailed   Status = 412
	StatusContentTooLarge      Status = 413
	StatusURITooLong           Status = 414
	StatusRangeNotSatisfiable  Status = 416
	StatusExpectationFailed    Status = 417
	StatusMisdirectedRequest   Status = 421
	StatusTooManyRequests      Status = 429
	StatusHeaderFieldsTooLarge Status = 431
	StatusInternalServerError  Status = 500
	StatusNotImplemented       Status = 501
	StatusServiceUnavailable   Status = 503
	StatusVersionNotSupported  Status = 505
)

// reasons is indexed by status; a missing one is an empty string.
var reasons = [...]string{
	StatusContinue:             "Continue",
	StatusOK:                   "OK",
	StatusNoContent:            "No Content",
	StatusPartialContent:       "Partial Content",
	StatusMovedPermanently:     "Moved Permanently",
	StatusFound:                "Found",
	StatusSeeOther:             "See Other",
	StatusNotModified:          "Not Modified",
	StatusTemporaryRedirect:    "Temporary Redirect",
	StatusPermanentRedirect:    "Permanent Redirect",
	StatusBadRequest:           "Bad Request",
	StatusUnauthorized:         "Unauthorized",
	StatusForbidden:            "Forbidden",
	StatusNotFound:             "Not Found",
	StatusMethodNotAllowed:     "Method Not Allowed",
	StatusRequestTimeout:       "Request Timeout",
	StatusGone:                 "Gone",
	StatusPreconditionFailed:   "Precondition Failed",
	StatusContentTooLarge:      "Content Too Large",
	StatusURITooLong:           "URI Too Long",
	StatusRangeNotSatisfiable:  "Range Not Satisfiable",
	StatusExpectationFailed:    "Expectation Failed",
	StatusMisdirectedRequest:   "Misdirected Request",
	StatusTooManyRequests:      "Too Many Requests",
	StatusHeaderFieldsTooLarge: "Request Header Fields Too Large",
	StatusInternalServerError:  "Internal Server Error",
	StatusNotImplemented:       "Not Implemented",
	StatusServiceUnavailable:   "Service Unavailable",
	StatusVersionNotSupported:  "HTTP Version Not Supported",
}

// Reason returns the reason phrase of RFC 9110 §15, or an empty string.
func (s Status) Reason() string {
	if int(s) < len(reasons) {
		return reasons[s]
	}
	return ""
}

// AppendStatusLine appends the status line, such as "HTTP/1.1 200 OK\r\n". The version is the
// server's, also for an HTTP/1.0 client (RFC 9110 §6.2).
func AppendStatusLine(dst []byte, s Status) []byte {
	if s == StatusOK {
		return append(dst, "HTTP/1.1 200 OK\r\n"...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendUint(dst, uint64(s), 10)
	dst = append(dst, ' ')
	dst = append(dst, s.Reason()...)
	return append(dst, '\r', '\n')
}

// AppendField appends "name: value\r\n".
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

// AppendInt appends prefix, n and CRLF. prefix is a field name with ": ", and may include the
// beginning of the value.
func AppendInt(dst []byte, prefix string, n int64) []byte {
	dst = append(dst, prefix...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}
