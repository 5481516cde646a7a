package differential

import (
	"net/url"
	"strings"
)

// messageClasses are about requests with an unusual method, version, field or body.
func messageClasses() []class {
	known := "POST PUT DELETE PATCH TRACE CONNECT"
	served := "GET HEAD OPTIONS"
	return []class{
		{"a version other than HTTP/1.x", func(q *request, d difference) bool {
			return q.odd == "version" && d.is("400 505", "2xx 3xx 4xx 5xx")
		}},
		{"an invalid Host", func(q *request, d difference) bool {
			return q.odd == "host" && d.is("400", "2xx 3xx 404")
		}},
		{"an empty or unusual Host", func(q *request, d difference) bool {
			return q.odd == "host" && (d.is("2xx 3xx 404", "400") || d.aspect == "Location")
		}},
		{"a malformed field line", func(q *request, d difference) bool {
			return q.odd == "field" && d.is("400", "2xx 3xx 404")
		}},
		{"a repeated field", func(q *request, d difference) bool {
			return q.odd == "field" && strings.Contains(q.fields[0], "\r\nIf-") && d.is("2xx 3xx 404", "2xx 3xx 400")
		}},
		{"Expect", func(q *request, d difference) bool {
			return q.has("Expect") && (d.is("417", "2xx 3xx 404") || d.aspect == "persistence")
		}},
		{"Transfer-Encoding other than chunked", func(q *request, d difference) bool {
			return q.odd == "coding" && d.is("400 501", "any")
		}},
		{"a malformed Content-Length", func(q *request, d difference) bool {
			return q.odd == "length" && d.is("400", "2xx 3xx 4xx")
		}},
		{"a malformed chunked body", func(q *request, d difference) bool {
			return q.odd == "chunk" && d.is("400 413", "any")
		}},
		{"a known method that is not supported", func(q *request, d difference) bool {
			return among(q.method, known) && d.is("400 405", "any")
		}},
		{"an unknown method", func(q *request, d difference) bool {
			return !among(q.method, known+" "+served) && d.is("400 501", "2xx 3xx 4xx")
		}},
		{"OPTIONS", func(q *request, d difference) bool {
			return q.method == "OPTIONS" && d.is("204 400", "2xx 3xx 4xx")
		}},
		{"persistence after a refused body", func(q *request, d difference) bool {
			return q.body != "" && d.aspect == "persistence" && d.ours == "false"
		}},
		{"persistence after 405 and 501", func(_ *request, d difference) bool {
			return d.aspect == "persistence" && (d.status == 405 || d.status == 501) && d.ours == "true"
		}},
		{"persistence for both close and keep-alive", func(q *request, d difference) bool {
			value := strings.ToLower(q.value("Connection"))
			return d.aspect == "persistence" && strings.Contains(value, "close") && strings.Contains(value, "keep-alive") && d.ours == "false"
		}},
	}
}

// unescapes reports whether every "%" in a target's path is followed by two hexadecimal digits.
func unescapes(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	_, err := url.PathUnescape(path)
	return err == nil
}

// pathClasses are about unusual spellings of paths.
func pathClasses() []class {
	decoded := func(q *request) string {
		path, _, _ := strings.Cut(q.target, "?")
		return strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/").Replace(path)
	}
	dotted := func(q *request) bool {
		path := decoded(q) + "/"
		return strings.Contains(path, "/./") || strings.Contains(path, "/../")
	}
	return []class{
		{"a target that is not a path", func(q *request, d difference) bool {
			return (q.target[0] != '/' && !strings.Contains(q.target, "://")) && d.is("400", "any")
		}},
		{"a fragment in the target", func(q *request, d difference) bool {
			return strings.Contains(q.target, "#") && d.is("400", "any")
		}},
		{"an http URI without a host", func(q *request, d difference) bool {
			return strings.HasPrefix(q.target, "http:///") && d.is("400", "any")
		}},
		{"a URI with another scheme", func(q *request, d difference) bool {
			return strings.HasPrefix(q.target, "ftp:") && d.is("400", "any")
		}},
		{"a path with two errors", func(q *request, d difference) bool {
			return strings.Contains(q.target, "%") && d.is("404", "400") && !unescapes(q.target)
		}},
		{"dot segments", func(q *request, d difference) bool { return dotted(q) && d.is("400 404", "any") }},
		{"an encoded slash", func(q *request, d difference) bool {
			return strings.Contains(strings.ToLower(q.target), "%2f") && d.is("400 404", "any")
		}},
		{"an encoded NUL", func(q *request, d difference) bool {
			return strings.Contains(q.target, "%00") && d.is("404", "400")
		}},
		{"a name that begins with a dot", func(q *request, d difference) bool {
			return strings.Contains(decoded(q), "/.") && d.is("404", "200 400")
		}},
		{"index.html requested by name", func(q *request, d difference) bool {
			return d.peer == "Go" && d.is("200", "301")
		}},
		{"a file with a trailing slash", func(q *request, d difference) bool {
			return d.peer == "Go" && d.is("404", "301 500")
		}},
		{"a directory without an index", func(q *request, d difference) bool {
			return d.is("403", "200 404")
		}},
		{"persistence after a malformed path", func(q *request, d difference) bool {
			return q.family == "path" && d.aspect == "persistence" && d.status == 400 && d.ours == "true"
		}},
	}
}
