package explain

import (
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
	switch s {
	case proto.StatusOK:
		return "what was asked for is there (RFC 9110 §15.3.1)"
	case proto.StatusNoContent:
		return "the response has no body (RFC 9110 §15.3.5)"
	case proto.StatusPartialContent:
		return "the part of the file that Range asks for (RFC 9110 §15.3.7)"
	case proto.StatusMovedPermanently:
		return "what was asked for is a directory, whose path ends with a slash (RFC 9110 §15.4.2)"
	case proto.StatusNotModified:
		return "the client's copy is still current (RFC 9110 §15.4.5)"
	case proto.StatusPermanentRedirect:
		return "the same is at an https address (RFC 9110 §15.4.9)"
	case proto.StatusBadRequest:
		return "the request is malformed (RFC 9110 §15.5.1)"
	case proto.StatusUnauthorized:
		return "the request lacks credentials for the path, or for what would be sent (RFC 9110 §15.5.2)"
	case proto.StatusForbidden:
		return "access is refused (RFC 9110 §15.5.4)"
	case proto.StatusNotFound:
		return "there is no such file, or its name is hidden (RFC 9110 §15.5.5)"
	case proto.StatusMethodNotAllowed:
		return "the method is not served (RFC 9110 §15.5.6)"
	case proto.StatusRequestTimeout:
		return "the request was not complete in time (RFC 9110 §15.5.9)"
	case proto.StatusPreconditionFailed:
		return "a precondition is false (RFC 9110 §15.5.13)"
	case proto.StatusContentTooLarge:
		return "the request's body is longer than this server reads (RFC 9110 §15.5.14)"
	case proto.StatusURITooLong:
		return "the request line is longer than is read (RFC 9110 §15.5.15)"
	case proto.StatusRangeNotSatisfiable:
		return "no range lies within the file (RFC 9110 §15.5.17)"
	case proto.StatusExpectationFailed:
		return "the only expectation that is met is 100-continue (RFC 9110 §15.5.18)"
	case proto.StatusMisdirectedRequest:
		return "no site is for this host (RFC 9110 §15.5.20)"
	case proto.StatusHeaderFieldsTooLarge:
		return "the head is longer, or has more fields, than is read (RFC 6585 §5)"
	case proto.StatusInternalServerError:
		return "the file system failed (RFC 9110 §15.6.1)"
	case proto.StatusNotImplemented:
		return "the method is not known (RFC 9110 §15.6.2)"
	case proto.StatusServiceUnavailable:
		return "out of descriptors or memory (RFC 9110 §15.6.4)"
	}
	return "the version is not HTTP/1.x (RFC 9110 §15.6.6)"
}
