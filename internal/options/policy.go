package options

import (
	"errors"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"phalanx/internal/human"
	"phalanx/internal/proto"
	"phalanx/internal/rules"
)

// The types of the flags about the website.
type (
	// Rule sets Cache-Control for the paths that match a pattern.
	Rule struct{ Pattern, Value string }
	// TypeRule sets the media type of the paths that match a pattern.
	TypeRule Rule
	// Name is a file's name without a directory.
	Name string
	// Path is the path of a file relative to the document root.
	Path string
	// Field is a header field, "Name: value", or "PATH: Name: value" in the syntax of
	// _headers.
	Field string
	// Redirect is a line in the syntax of _redirects.
	Redirect string
	// Prefix is a path without a slash at its end.
	Prefix string
)

func (r Rule) String() string { return r.Pattern + "=" + r.Value }

func (r *Rule) UnmarshalFlag(v string) error {
	return r.read(v, "must be GLOB=VALUE, such as '*.html=no-cache'", isCacheControl)
}

// isCacheControl also refuses values that begin with a digit, which result from the syntax of
// --header: 'assets/*: max-age=3' has only 3 after the equals sign.
func isCacheControl(s string) bool { return isVisible(s) && (s[0] < '0' || s[0] > '9') }

func (r TypeRule) String() string { return Rule(r).String() }

func (r *TypeRule) UnmarshalFlag(v string) error {
	return (*Rule)(r).read(v, "must be GLOB=TYPE, such as '*.foo=text/plain; charset=utf-8'", isMediaType)
}

// read parses the rule of a flag. ok validates its value.
func (r *Rule) read(v, cure string, ok func(string) bool) error {
	pattern, value, cut := strings.Cut(v, "=")
	pattern, value = strings.TrimSpace(pattern), strings.TrimSpace(value)
	switch {
	case !cut || strings.TrimPrefix(pattern, "/") == "" || value == "" || !ok(value):
		return invalid(v, cure)
	case !doublestar.ValidatePattern(pattern):
		return invalid(v, "the pattern is malformed; see https://github.com/bmatcuk/doublestar#patterns")
	}
	*r = Rule{pattern, value}
	return nil
}

// isMediaType reports whether s is "type/subtype" with optional parameters (RFC 9110 §8.3.1).
func isMediaType(s string) bool {
	parts := strings.Split(s, ";")
	kind, subtype, _ := strings.Cut(strings.TrimRight(parts[0], " \t"), "/")
	ok := len(s) <= 255 && proto.IsToken(kind) && proto.IsToken(subtype)
	for _, parameter := range parts[1:] {
		name, value, _ := strings.Cut(strings.Trim(parameter, " \t"), "=")
		quoted := len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' &&
			!strings.ContainsAny(value[1:len(value)-1], `"\`) && isVisible(value)
		ok = ok && proto.IsToken(name) && (quoted || proto.IsToken(value))
	}
	return ok
}

func (n *Name) UnmarshalFlag(v string) error {
	if v == "" || len(v) > 255 || v == "." || v == ".." || strings.ContainsAny(v, "/\x00") {
		return invalid(v, "must be a file's name, such as index.html")
	}
	*n = Name(v)
	return nil
}

func (p *Path) UnmarshalFlag(v string) error {
	path := strings.TrimPrefix(v, "/")
	if path == "" || len(path) > 4000 || strings.ContainsRune(path, 0) {
		return invalid(v, "must be a file in the document root, such as index.html")
	}
	*p = Path(path)
	return nil
}

func (p *Prefix) UnmarshalFlag(v string) error {
	path := strings.TrimRight(v, "/")
	for _, segment := range strings.Split(path, "/")[1:] {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, func(c rune) bool { return c >= 0x80 || !proto.IsUnreserved(byte(c)) }) {
			path = ""
		}
	}
	if !strings.HasPrefix(path, "/") || len(path) > 1000 {
		return invalid(v, "must be a path of letters, digits and -._~, such as /docs")
	}
	*p = Prefix(path)
	return nil
}

func (r *Redirect) UnmarshalFlag(v string) error {
	if strings.ContainsAny(v, "\r\n") {
		return invalid(v, "must be FROM TO [STATUS] on one line")
	}
	*r = Redirect(v)
	return ruled(v, r.Text())
}

// Text returns the rule as input for package rules.
func (r Redirect) Text() rules.Text {
	return rules.Text{Name: "--redirect " + human.Quoted(string(r)), Bytes: []byte(r), Option: true}
}

// Text returns the field as input for package rules; false if it applies to all paths.
func (f Field) Text() (rules.Text, bool) {
	scheme, _, _ := strings.Cut(strings.ToLower(string(f)), "://")
	return rules.Text{Kind: rules.Headers, Name: "--header " + human.Quoted(string(f)), Bytes: []byte(f), Option: true},
		strings.HasPrefix(string(f), "/") || scheme == "http" || scheme == "https"
}

// ruled checks the value of a flag in a syntax of package rules.
func ruled(v string, t rules.Text) error {
	_, err := rules.Parse(t)
	if wrong, ok := errors.AsType[*rules.Error](err); ok {
		return invalid(v, wrong.Reason)
	}
	return err
}

func (f *Field) UnmarshalFlag(v string) error {
	if text, ok := Field(v).Text(); ok {
		*f = Field(v)
		return ruled(v, text)
	}
	name, value, ok := strings.Cut(v, ":")
	value = strings.TrimSpace(value)
	lower := strings.ToLower(name)
	switch {
	case !ok || !proto.IsToken(name) || value == "" || !isVisible(value):
		return invalid(v, "must be 'Name: value', such as 'X-Frame-Options: DENY'")
	case rules.Owned(lower), lower == "content-type", lower == "vary": // they differ by path
		return invalid(v, "the server sets "+name+" itself; leave it out")
	case lower == "cache-control", lower == "expires":
		return invalid(v, "use --cache or --expires, which set it by path")
	case strings.HasPrefix(lower, "access-control-allow-origin"):
		return invalid(v, "use --cors")
	}
	*f = Field(name + ": " + value)
	return nil
}

// isVisible reports whether s has only visible ASCII, spaces and tabs (RFC 9110 §5.5).
func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c != '\t' && (c < ' ' || c > '~') })
}
