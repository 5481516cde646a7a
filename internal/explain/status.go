package explain

import (
	"cmp"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
)

func statusWhy(s proto.Status, moved conn.Moved) string {
	switch moved {
	case conn.MovedClean:
		return "the page is at the path without .html (RFC 9110 §15.4.9)"
	case conn.MovedRule:
		return "a rule of the site redirects the path (RFC 9110 §15.4)"
	}
	return cmp.Or(statusWhys[s], "the version is not HTTP/1.x (RFC 9110 §15.6.6)")
}

// statusWhys has the reason for each status.
var statusWhys = map[proto.Status]string{
	proto.StatusOK:                   "the request succeeded (RFC 9110 §15.3.1)",
	proto.StatusNoContent:            "the response has no body (RFC 9110 §15.3.5)",
	proto.StatusPartialContent:       "the part of the file that Range asks for (RFC 9110 §15.3.7)",
	proto.StatusMovedPermanently:     "the path names a directory and lacks the trailing slash (RFC 9110 §15.4.2)",
	proto.StatusNotModified:          "the client's copy is still current (RFC 9110 §15.4.5)",
	proto.StatusPermanentRedirect:    "the resource is served over HTTPS (RFC 9110 §15.4.9)",
	proto.StatusBadRequest:           "the request is malformed (RFC 9110 §15.5.1)",
	proto.StatusUnauthorized:         "the request lacks credentials for the path, or for the file that would be sent (RFC 9110 §15.5.2)",
	proto.StatusForbidden:            "access is refused (RFC 9110 §15.5.4)",
	proto.StatusNotFound:             "there is no such file, or its name is hidden (RFC 9110 §15.5.5)",
	proto.StatusMethodNotAllowed:     "the method is not served (RFC 9110 §15.5.6)",
	proto.StatusRequestTimeout:       "the request was not complete in time (RFC 9110 §15.5.9)",
	proto.StatusGone:                 "a rule of the site says that it is gone (RFC 9110 §15.5.11)",
	proto.StatusPreconditionFailed:   "a precondition is false (RFC 9110 §15.5.13)",
	proto.StatusContentTooLarge:      "the request body exceeds the limit of this server (RFC 9110 §15.5.14)",
	proto.StatusURITooLong:           "the request line exceeds the limit of this server (RFC 9110 §15.5.15)",
	proto.StatusRangeNotSatisfiable:  "no range lies within the file (RFC 9110 §15.5.17)",
	proto.StatusExpectationFailed:    "the only supported expectation is 100-continue (RFC 9110 §15.5.18)",
	proto.StatusMisdirectedRequest:   "no site has this host (RFC 9110 §15.5.20)",
	proto.StatusHeaderFieldsTooLarge: "the head exceeds the limit of its length or of its number of fields (RFC 6585 §5)",
	proto.StatusInternalServerError:  "the file system failed (RFC 9110 §15.6.1)",
	proto.StatusNotImplemented:       "the method is not known (RFC 9110 §15.6.2)",
	proto.StatusServiceUnavailable:   "out of descriptors or memory (RFC 9110 §15.6.4)",
}
