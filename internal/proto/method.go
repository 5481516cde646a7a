package proto

// Method is a request method (RFC 9110 §9). The zero value is a method that
// this server does not know.
type Method uint8

// The methods of RFC 9110 §9.3 and RFC 5789.
const (
	MethodUnknown Method = iota
	MethodGet
	MethodHead
	MethodOptions
	MethodPost
	MethodPut
	MethodDelete
	MethodConnect
	MethodTrace
	MethodPatch
)

// Allow is the list of methods that are served, for the Allow field.
const Allow = "GET, HEAD, OPTIONS"

// lookupMethod returns the method with a name, which is case-sensitive (RFC 9110 §9.1).
func lookupMethod(name []byte) Method {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "OPTIONS":
		return MethodOptions
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "CONNECT":
		return MethodConnect
	case "TRACE":
		return MethodTrace
	case "PATCH":
		return MethodPatch
	}
	return MethodUnknown
}
