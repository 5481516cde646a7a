package explain

import (
	"cmp"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
)

func statusWhy(s proto.Status, moved conn.Moved) string {
	switch moved {
	case conn.MovedClean:
		return "the same is at a path without .html (RFC 9110 §15.4.9)"
	case conn.MovedRule:
		return "a rule of the site's owner (RFC 9110 §15.4)"
	}
	return cmp.Or(statusWhys[s], "the version is not HTTP/1.x (RFC 9110 §15.6.6)")
}

// statusWhys says why a response has a status.
var statusWhys = map[proto.Status]string{
	proto.StatusOK:                   "what was asked for is there (RFC 9110 §15.3.1)",
	proto.StatusNoContent:            "the response has no body (RFC 9110 §15.3.5)",
	proto.StatusPartialContent:       "the part of the file that Range asks for (RFC 9110 §15.3.7)",
	proto.StatusMovedPermanently:     "what was asked for is a directory, whose path ends with a slash (RFC 9110 §15.4.2)",
	proto.StatusNotModified:          "the client's copy is still current (RFC 9110 §15.4.5)",
	proto.StatusPermanentRedirect:    "the same is at an https address (RFC 9110 §15.4.9)",
	proto.StatusBadRequest:           "the request is malformed (RFC 9110 §15.5.1)",
	proto.StatusUnauthorized:         "the request lacks credentials for the path, or for what would be sent (RFC 9110 §15.5.2)",
	proto.StatusForbidden:            "access is refused (RFC 9110 §15.5.4)",
	proto.StatusNotFound:             "there is no such file, or its name is hidden (RFC 9110 §15.5.5)",
	proto.StatusMethodNotAllowed:     "the method is not served (RFC 9110 §15.5.6)",
	proto.StatusRequestTimeout:       "the request was not complete in time (RFC 9110 §15.5.9)",
	proto.StatusGone:                 "a rule of the site's owner says so (RFC 9110 §15.5.11)",
	proto.StatusPreconditionFailed:   "a precondition is false (RFC 9110 §15.5.13)",
	proto.StatusContentTooLarge:      "the request's body is longer than this server reads (RFC 9110 §15.5.14)",
	proto.StatusURITooLong:           "the request line is longer than is read (RFC 9110 §15.5.15)",
	proto.StatusRangeNotSatisfiable:  "no range lies within the file (RFC 9110 §15.5.17)",
	proto.StatusExpectationFailed:    "the only expectation that is met is 100-continue (RFC 9110 §15.5.18)",
	proto.StatusMisdirectedRequest:   "no site is for this host (RFC 9110 §15.5.20)",
	proto.StatusHeaderFieldsTooLarge: "the head is longer, or has more fields, than is read (RFC 6585 §5)",
	proto.StatusInternalServerError:  "the file system failed (RFC 9110 §15.6.1)",
	proto.StatusNotImplemented:       "the method is not known (RFC 9110 §15.6.2)",
	proto.StatusServiceUnavailable:   "out of descriptors or memory (RFC 9110 §15.6.4)",
}
