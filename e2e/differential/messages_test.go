package differential

import (
	"fmt"
	"strings"
)

// pathRequest requests a path in an unusual spelling.
func (g *generator) pathRequest() *request {
	paths := []string{
		"/", "/index.html", "/page.html", "/dir", "/dir/", "/dir/file.css", "/bare", "/bare/", "/bare/file.txt", "/a b.txt",
		"/gr\u00fc\u00dfe.txt", "/100%.txt", "/plus+plus.txt", "/noextension", "/missing", "/missing/", "/missing/x",
		"/.hidden", "/.well-known/probe.txt", "/back\\slash.txt", "/one.txt/x", "/one.txt/", "/index.html/",
	}
	q := &request{method: "GET", version: "HTTP/1.1", host: "phalanx.test"}
	if g.chance(10) {
		q.method = "HEAD"
	}
	path := g.escaped(pick(g, paths...))
	for g.chance(45) {
		path = g.mutated(path)
	}
	q.target = path + pick(g, "", "", "", "?", "?a=b", "?a=/../b", "?a b"[:2], "??", "?a=%zz", "?a#b", "#f")
	if g.chance(6) {
		q.target = pick(g, "http://phalanx.test", "HTTP://phalanx.test", "http://other.test:81", "https://phalanx.test", "http://phalanx.test:", "http://", "ftp://phalanx.test") + q.target
	}
	return q
}

// escaped percent-encodes what a target must not contain, and some other bytes.
func (g *generator) escaped(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		switch {
		case c <= ' ', c >= 0x7f, c == '%', c == '\\', c != '/' && g.chance(5):
			fmt.Fprintf(&b, pick(g, "%%%02x", "%%%02X"), c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// mutated inserts something unusual into a path, after a slash.
func (g *generator) mutated(path string) string {
	var slashes []int
	for i := range len(path) {
		if path[i] == '/' {
			slashes = append(slashes, i)
		}
	}
	if len(slashes) == 0 {
		return "/" + path
	}
	at := pick(g, slashes...) + 1
	odd := pick(g,
		"/", "//", "./", "../", "dir/../", "dir/./", "missing/../", "%2e/", "%2e%2e/", ".%2e/", "dir/%2e%2e/", "%2f", "dir%2f",
		"..%2f", "%5c", "\\", "..\\", "%00", "%", "%zz", "%u002e", "%c0%ae", "%c0%af", "%ff", "...", "..;/", ";a=b/", "*", "~", "%09", "%0d%0a",
		"%20", "%7f", "\xff", "\xc3\xbc", "<", "\"", "{", "|", "^", "`", "[", "@", ":", "&", "'",
	)
	return path[:at] + odd + path[at:]
}

// messageRequest is a request with an unusual method, version, field or body.
func (g *generator) messageRequest() *request {
	q := g.about("page.html", "data.bin", "missing.txt", "dir", "app.js")
	q.odd = pick(g, "method", "version", "host", "field", "body", "")
	switch q.odd {
	case "method":
		q.method = pick(g, "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "Get", "BREW", "G(T", "GET\x01")
		if g.chance(20) {
			q.target = pick(g, "*", "phalanx.test:80", "*", "/*")
		}
	case "version":
		q.version = pick(g, "HTTP/1.0", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/0.9", "HTTP/3", "http/1.1", "HTTP/1.1.1", "HTTP/1.", "HTTP/01.1", "HTTP/1.10", "FTP/1.1", "HTTP/1.1 ", " HTTP/1.1")
	case "host":
		q.host = pick(g, "-", "", "phalanx.test:80", "127.0.0.1", "[::1]", "[::1]:80", "a b", "a/b", "user@phalanx.test", "phalanx.test:x", "phalanx.test:", "phalanx.test:99999", "a,b", "ph\u00e4lanx", "a_b", "%41")
	case "field":
		g.oddField(q)
	case "body":
		g.body(q)
	}
	if g.chance(35) {
		if q.odd != "version" {
			q.version = pick(g, "HTTP/1.0", "HTTP/1.1")
		}
		q.add("Connection", pick(g, "close", "keep-alive", "Close", "Keep-Alive", "close, keep-alive", "keep-alive, close", "upgrade", "x", "", "close,", "TE, close"))
	}
	return q
}

// oddField adds a field line that is malformed or only just valid.
func (g *generator) oddField(q *request) {
	q.fields = append(q.fields, pick(g,
		"X-Space : a", "X-Tab\t: a", " X-Folded: a", "\tX-Folded: a", "X: a\r\n b", "X: a\r\n\tb", "NoColon", ": empty", "X:", "X:a", "X:  a  ",
		"X: \x00", "X: a\x00b", "X: a\rb", "X: a\nb: c", "X: \x01", "X: \x7f", "X: \xff", "X(Y): a", "X Y: a", "X\u00fc: a", "X_Y: a", "X.Y: a",
		"Host: phalanx.test", "Host: other.test", "Range: bytes=0-0\r\nRange: bytes=1-1", "If-None-Match: {tag}\r\nIf-None-Match: \"other\"",
		"If-None-Match: \"other\"\r\nIf-None-Match: {tag}", "If-Modified-Since: "+g.date()+"\r\nIf-Modified-Since: "+g.date(),
		"Accept-Encoding: gzip;q=0\r\nAccept-Encoding: br", "Expect: 100-continue", "Expect: other", "Upgrade: h2c", "Max-Forwards: 0", "TE: trailers",
		"X-Long: "+strings.Repeat("a", 3000), "X-Longer: "+strings.Repeat("a", 7000), strings.TrimSuffix(strings.Repeat("X: a\r\n", 90), "\r\n"),
	))
}

// body adds a body, or fields that announce one.
func (g *generator) body(q *request) {
	q.method = pick(g, "GET", "GET", "HEAD", "POST", "OPTIONS", "DELETE")
	lengths := func(odd, value string) {
		q.odd, q.body = odd, "abc"
		q.add("Content-Length", value)
	}
	chunks := func(odd, value, body string) {
		q.odd, q.body = odd, body
		q.add("Transfer-Encoding", value)
	}
	const chunked = "3\r\nabc\r\n0\r\n\r\n"
	switch g.IntN(4) {
	case 0:
		lengths("", pick(g, "3", "3", "003", " 3 "))
	case 1:
		lengths("length", pick(g, "+3", "-3", "0x3", "3,3", "3, 3", "3;", "", "3 3", "99999999999999999999", "18446744073709551619", "3\r\nContent-Length: 3", "3\r\nContent-Length: 4"))
	case 2:
		chunks("coding", pick(g, "chunked", "chunked", "Chunked", " chunked ", "gzip", "chunked, chunked", "gzip, chunked", "chunked, identity", "identity", "xchunked", "chunked;a=b", "\"chunked\"", "chunked\r\nTransfer-Encoding: chunked"), chunked)
	default:
		chunks("chunk", "chunked", pick(g,
			"0\r\n\r\n", "3;a=b\r\nabc\r\n0\r\n\r\n", "3;a=\"b\"\r\nabc\r\n0\r\nX: y\r\n\r\n", "0003\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n",
			" 3\r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nab\r\n0\r\n\r\n",
			"\r\n\r\n", "g\r\nabc\r\n0\r\n\r\n", "-1\r\nabc\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n", "3;\r\nabc\r\n0\r\n\r\n", "3\r\r\nabc\r\n0\r\n\r\n",
		))
		if g.chance(15) {
			q.add("Content-Length", pick(g, "3", "13"))
		}
		if g.chance(15) {
			q.version = "HTTP/1.0"
		}
	}
}
