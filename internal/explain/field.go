package explain

import (
	"cmp"
	"strings"

	"phalanx/internal/conn"
	"phalanx/internal/human"
	"phalanx/internal/proto"
	"phalanx/internal/rules"
)

// fieldWhys returns why each field is in the response, by the field's name in lower
// case.
func (s *server) fieldWhys(x *conn.Exchange) map[string]string {
	const preflight = "--cors: with an Origin, OPTIONS is a preflight request of a script (Fetch standard, §3.3)"
	whys := map[string]string{
		"server":                        "this program and its version",
		"date":                          "the time of the response (RFC 9110 §6.6.1)",
		"x-content-type-options":        "always, unless --header has another: a browser must not guess the type",
		"content-security-policy":       "unless --header has another: a browser must not load or run anything for this page",
		"access-control-allow-origin":   "--cors: the scripts of every site may read it",
		"access-control-expose-headers": "--cors: scripts may read these fields too",
		"access-control-allow-methods":  preflight,
		"access-control-allow-headers":  preflight,
		"access-control-max-age":        preflight,
		"x-request-id":                  "made for this request",
		"connection":                    closingWhy(x),
		"allow":                         "the methods that are served (RFC 9110 §15.5.6)",
		"location":                      "the path names a directory and lacks the trailing slash; the query is kept (RFC 9110 §15.4.2)",
		"strict-transport-security":     "--hsts: the client must use HTTPS only (RFC 6797)",
		"retry-after":                   "descriptors may be free again in a second",
		"www-authenticate":              "the credentials that the path requires (RFC 7617)",
		"content-encoding":              "the sidecar that is sent is in this coding",
		"content-type":                  s.kind,
	}
	if string(x.ID) == string(x.Value(proto.FieldRequestID)) {
		whys["x-request-id"] = "the request's own"
	}
	switch x.Moved {
	case conn.MovedClean:
		whys["location"] = "the path without .html, and without a slash unless it is a directory's (--clean-urls); the query is kept"
	case conn.MovedRule:
		whys["location"] = "the target of the rule; the query is kept unless the rule has one"
	case conn.MovedSecure:
		whys["location"] = "the same host, path and query over HTTPS; with --plain serve the request would be served"
	}
	if s.inherent {
		whys["content-encoding"] = "files of this type are always in this coding"
	}
	switch x.Source {
	case conn.SourceNone:
		whys["allow"] = "the methods that are served, the same for every target"
	case conn.SourceFile:
		s.fileWhys(x, whys)
	case conn.SourceListing:
		whys["content-type"] = "HTML, because neither Accept nor ?format=json asks for JSON"
		madeWhys("listing", whys)
		whys["vary"] = "a listing may also be JSON, by Accept"
		whys["etag"] = "a hash of everything that the listing shows"
	case conn.SourceArchive:
		whys["content-type"] = "the media type of the format that the query asks for"
		whys["content-disposition"] = "the name under which a browser saves it (RFC 6266)"
		madeWhys("archive", whys)
		whys["accept-ranges"] = "an archive cannot be requested in ranges: the next one may differ"
	default:
		pageWhys(x, whys)
	}
	if x.User != nil {
		whys["cache-control"] = "private, because the response is only for clients with the credentials (RFC 9111 §5.2.2.7); " + cmp.Or(whys["cache-control"], "there is no rule for it")
		whys["vary"] = "the credentials, and what the response would vary by without them"
	}
	return whys
}

// madeWhys sets the reasons for a listing or an archive, which is made for the request.
func madeWhys(what string, whys map[string]string) {
	whys["last-modified"] = "the " + what + " is made now"
	whys["expires"] = "now: the " + what + " is stale at once"
	whys["cache-control"] = "the " + what + " is revalidated each time"
	whys["transfer-encoding"] = "the " + what + " is made while it is sent, so its length is not known (RFC 9112 §7.1)"
}

// fileWhys sets the reasons for a response with a file, or 304.
func (s *server) fileWhys(x *conn.Exchange, whys map[string]string) {
	whys["expires"] = "now plus --expires, for clients that do not know Cache-Control"
	whys["cache-control"] = "--expires " + human.Duration(s.cfg.Expires) + ", because no --cache rule matches the path"
	if x.File.CacheControl() != "" {
		whys["cache-control"] = s.rule
	}
	if x.File.Copied() {
		whys["content-encoding"] = "the compressed copy that is sent is in this coding"
	}
	whys["vary"] = "files of this type may have sidecars in other codings"
	if strings.Contains(x.File.Vary(), "Sec-Fetch-Mode") {
		whys["vary"] = "only navigation gets the fallback, and these fields distinguish it; Accept-Encoding is for sidecars"
	}
	whys["last-modified"] = "when the file was modified"
	if s.future(x.File) {
		whys["last-modified"] = "now, because the file's modification time is in the future (RFC 9110 §8.8.2.1)"
	}
	whys["etag"] = "the file's modification time in ns and its size, in hexadecimal"
	if x.File.Coding() != proto.Identity {
		whys["etag"] += ", and its coding"
	}
	if sum, _ := x.File.Digest(); sum != nil {
		whys["etag"] = "128 bits of the SHA-256 digest of the content, as base64 (--etag)"
		whys["repr-digest"] = "the SHA-256 digest of the whole file as it is sent, which Want-Repr-Digest asks for (RFC 9530)"
	}
	whys["accept-ranges"] = "every file can be requested in ranges"
	whys["content-length"] = "the size of the file"
	switch {
	case len(x.Ranges) == 1:
		whys["content-range"] = "which part of the file this is, and the file's size"
		whys["content-length"] = "the size of the range"
	case len(x.Ranges) > 1:
		whys["content-type"] = "several ranges are sent as parts; the boundary differs each time (RFC 9110 §14.6)"
		whys["content-length"] = "the ranges, and the headers of the parts"
	}
}

// pageWhys sets the reasons for an error or a redirection.
func pageWhys(x *conn.Exchange, whys map[string]string) {
	whys["last-modified"] = "the time of the response: the page is made for it"
	whys["expires"] = "now: the next response may differ (RFC 9111 §4.2)"
	whys["cache-control"] = "with credentials the response differs"
	whys["vary"] = "the credentials: the site's own page for this error, or the target of a rule, needs some"
	if x.Source == conn.SourceSitePage {
		whys["content-length"] = "the size of the site's own page for this error"
		return
	}
	whys["content-type"] = "the built-in page is HTML"
	whys["content-length"] = "the size of the built-in page"
	whys["content-range"] = "the file's size, so that the client can request a range within it (RFC 9110 §15.5.17)"
	if x.File != nil {
		whys["last-modified"] = "when the requested file was modified (RFC 9110 §8.8.2)"
	}
}

// closingWhy returns the reason for the Connection field.
func closingWhy(x *conn.Exchange) string {
	switch x.Closing {
	case conn.ClosingSingle:
		return "--model serial closes after each response"
	case conn.ClosingLength:
		return "HTTP/1.0 has no other end for a body of unknown length"
	case conn.ClosingDrain:
		return "the worker drains"
	case conn.ClosingUnread:
		return "the request's body is not read, because the response is an error anyway"
	case conn.ClosingFault:
		return "the start of the next request cannot be determined"
	case conn.ClosingClient:
		if x.Request.Minor > 0 {
			return "the client asked for it (RFC 9112 §9.6)"
		}
		return "HTTP/1.0 without Connection: keep-alive (RFC 9112 §9.3)"
	}
	return "HTTP/1.0, and the client asked for it (RFC 9112 §9.3)"
}

// lines returns the lines of the head with their reasons. Fields of --header come before
// others of the same name.
func (s *server) lines() (lines []Line) {
	own := make(map[string]int)
	for _, field := range s.cfg.Header {
		own[fieldName(field)]++
	}
	texts := strings.Split(strings.TrimSuffix(string(s.head), "\r\n\r\n"), "\r\n")
	lines = append(lines, Line{texts[0], statusWhy(s.status, s.moved)})
	for i, text := range texts[1:] {
		name := fieldName(text)
		why, ok := s.fields[name]
		rule := s.ruled.Why(name)
		switch {
		case len(rule) > 0 && (name != "vary" || i >= len(texts)-1-s.ruled.Added()):
			why = ruleWhy(rule)
		case own[name] > 0:
			own[name]--
			why = "--header"
		case !ok:
			why = Unknown
		case name == "content-type" && s.source == conn.SourceListing && strings.HasSuffix(text, "/json"):
			why = "JSON, by ?format=json or because Accept prefers it"
		}
		lines = append(lines, Line{text, why})
	}
	return lines
}

// ruleWhy names the rules that set a field.
func ruleWhy(all []rules.Position) string {
	var names []string
	for _, at := range all {
		names = append(names, at.String())
	}
	return "set by " + strings.Join(names, " and ")
}

func fieldName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return strings.ToLower(name)
}
