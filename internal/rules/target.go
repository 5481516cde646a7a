package rules

import (
	"bytes"
	"slices"
	"strings"

	"phalanx/internal/proto"
)

// target is the target of a rule.
type target struct {
	external bool // it has a host
	parts    []part
	path     int  // number of parts of the path, without query and fragment
	fragment int  // index of the fragment's first part
	query    bool // it has a query of its own
}

// maxParts is the largest number of parts of a target or value. It limits how much longer than
// the request a response can become.
const maxParts = 64

// part is an escaped literal or a placeholder.
type part struct {
	literal string
	arg     int // index of the match's args; -1: a literal
	encode  encoding
}

// encoding is how the value of a placeholder is escaped.
type encoding uint8

const (
	inSegment encoding = iota
	inSplat            // slashes too
	inQuery
)

// parseTarget parses a target. names are the placeholders that it may use. The host cannot
// have placeholders: that would be an open redirect.
func parseTarget(text string, names []string, at Position) (t target, err error) {
	rest := text
	switch scheme, after, ok := strings.Cut(text, "://"); {
	case strings.HasPrefix(text, "//"), strings.HasPrefix(text, `/\`):
		return t, at.errorf("%q leads to another host; write it with https:// if that is intended", text)
	case strings.HasPrefix(text, "/"):
	case ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")):
		end := strings.IndexAny(after, "/?#")
		if end < 0 {
			end = len(after)
		}
		host := after[:end]
		if !isHost(host) {
			return t, at.errorf("%q: %q is not a valid host; placeholders are not allowed there (open redirect)", text, host)
		}
		t.external = true
		t.parts = append(t.parts, part{literal: strings.ToLower(scheme) + "://" + host, arg: -1})
		if rest = after[end:]; !strings.HasPrefix(rest, "/") {
			rest = "/" + rest
		}
	default:
		return t, at.errorf("%q: a target must be a path such as /new, or begin with http:// or https://", text)
	}
	if i := strings.IndexFunc(rest, func(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune("\\*\"<>", c) }); i >= 0 {
		return t, at.errorf("%q: %q is not allowed in a target; write :splat for what * matched", text, rest[i:i+1])
	}
	rest, fragment, hasFragment := strings.Cut(rest, "#")
	path, query, hasQuery := strings.Cut(rest, "?")
	if err = t.add(path, inSegment, names, text, at); err != nil {
		return t, err
	}
	t.path, t.query = len(t.parts), hasQuery
	if hasQuery {
		err = t.add("?"+query, inQuery, names, text, at)
	}
	t.fragment = len(t.parts)
	if hasFragment && err == nil {
		err = t.add("#"+fragment, inQuery, names, text, at)
	}
	return t, err
}

// isHost reports whether text is a host with an optional port: a name, an IPv4 address or an
// IPv6 address in brackets.
func isHost(text string) bool {
	host, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		if host, port = text[:i], text[i+1:]; !isDigits(port) || len(port) > 5 {
			return false
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && strings.Trim(inner, "0123456789abcdefABCDEF:.") == ""
	}
	return host != "" && host[0] != '.' && !strings.ContainsFunc(host, func(c rune) bool {
		return !(c < 0x80 && (isLetter(byte(c)) || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_'))
	})
}

// add adds a part of the target with its placeholders.
func (t *target) add(text string, encode encoding, names []string, whole string, at Position) error {
	for text != "" {
		literal, rest := cutPlaceholder(text)
		if literal != "" {
			if _, ok := unescape(strings.ReplaceAll(strings.ReplaceAll(literal, "%2F", ""), "%2f", "")); !ok {
				return at.errorf("%q: a %% must be followed by two hexadecimal digits, and not encode NUL", whole)
			}
			t.parts = append(t.parts, part{literal: string(proto.AppendEscaped(nil, literal, inURI)), arg: -1})
		}
		if rest == "" {
			break
		}
		if len(t.parts) > maxParts {
			return at.errorf("%q: more than %d pieces and placeholders", whole, maxParts)
		}
		n := placeholder(rest)
		p := part{arg: slices.Index(names, rest[1:n]), encode: encode}
		switch {
		case p.arg < 0:
			return at.errorf("%q: no placeholder %s in FROM; write a colon as %%3A", whole, rest[:n])
		case encode == inSegment && rest[1:n] == splatName:
			p.encode = inSplat
		}
		t.parts = append(t.parts, p)
		text = rest[n:]
	}
	return nil
}

// append appends the target. Without a query of its own it gets the request's.
func (t *target) append(dst []byte, args [][]byte, query []byte) []byte {
	dst = t.appendPath(dst, args)
	dst = appendParts(dst, t.parts[t.path:t.fragment], args)
	if !t.query && len(query) > 1 && query[0] == '?' {
		dst = proto.AppendEscaped(dst, query, inURI)
	}
	return appendParts(dst, t.parts[t.fragment:], args)
}

// appendPath appends the path of the target, with scheme and host if it has them. It merges
// leading slashes: with an empty placeholder a path could begin with two, which browsers take
// for a host.
func (t *target) appendPath(dst []byte, args [][]byte) []byte {
	from := len(dst)
	dst = appendParts(dst, t.parts[:t.path], args)
	if !t.external {
		if more := len(dst) - from - len(bytes.TrimLeft(dst[from:], "/")) - 1; more > 0 {
			dst = append(dst[:from], dst[from+more:]...)
		}
	}
	return dst
}

func appendParts(dst []byte, parts []part, args [][]byte) []byte {
	for _, p := range parts {
		if p.arg < 0 {
			dst = append(dst, p.literal...)
			continue
		}
		dst = p.encode.append(dst, args[p.arg])
	}
	return dst
}

func (e encoding) append(dst, value []byte) []byte {
	switch e {
	case inSplat:
		return proto.AppendEscaped(dst, value, inPath)
	case inQuery:
		return proto.AppendEscaped(dst, value, proto.IsUnreserved)
	}
	return proto.AppendEscaped(dst, value, inOneSegment)
}

// inOneSegment reports whether a path segment may contain the byte unescaped (RFC 3986 §3.3).
func inOneSegment(c byte) bool {
	return proto.IsUnreserved(c) || strings.IndexByte("!$&'()*+,;=:@", c) >= 0
}

func inPath(c byte) bool { return c == '/' || inOneSegment(c) }

// inURI reports whether a URI may contain the byte, including the percent sign.
func inURI(c byte) bool { return inPath(c) || strings.IndexByte("%?#[]", c) >= 0 }
