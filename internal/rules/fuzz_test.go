package rules

import (
	"bytes"
	"strings"
	"testing"

	"phalanx/internal/proto"
)

// FuzzRedirects parses arbitrary rules and matches arbitrary requests: a target is a path of
// this site or begins with the literal host of its rule, it contains no line break, and the
// trie finds the same rule as a list.
func FuzzRedirects(f *testing.F) {
	f.Add("/a/* /:splat 302\n/:x/b-:y.html https://example.org/:x?q=:y#f", "/a//evil.com", "", "example.org")
	f.Add("/go to=:to x=1 /:to 301!\n/* /index.html 200", "/go", "?x=1&to=%2F%2Fevil.com", "")
	f.Add("http://:h.example.org/*.jpg /i/:h/:splat 404", "/%0d%0a.jpg", "?", "a.example.org")
	f.Add("/a /b\n/b /c 307\n/docs/* /docs/new/:splat", "/docs/./x/", "?a", "h")
	f.Add("/0 /", "0", "/000", "0")
	f.Fuzz(func(t *testing.T, text, path, query, host string) {
		s, err := Parse(Text{Name: "_redirects", Bytes: []byte(text)})
		if err != nil {
			refused(t, text, err)
			return
		}
		r := Request{Path: []byte(path), Query: []byte(query), Host: []byte(host)}
		var m, list Match
		found := s.Find(&m, r)
		var want *redirect
		if s != nil && list.read(r.Path) {
			for i := range s.redirects {
				if list.try(&s.redirects[i], r) {
					want = &s.redirects[i]
					break
				}
			}
		}
		if found != (want != nil) || found && m.rule != want {
			t.Fatalf("the trie found %v, a list %v", m.rule, want)
		}
		if !found {
			return
		}
		target := m.Target()
		if bytes.IndexFunc(target, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' }) >= 0 {
			t.Fatalf("target %q", target)
		}
		switch literal := want.to.parts[0].literal; {
		case m.External():
			if !bytes.HasPrefix(target, []byte(literal+"/")) {
				t.Fatalf("target %q does not begin with %q", target, literal)
			}
		case !bytes.HasPrefix(target, slash) || bytes.HasPrefix(target, []byte("//")):
			t.Fatalf("target %q leads to another host", target)
		}
	})
}

// refused checks the errors of a text: each is one line, and about one line of the text.
func refused(t *testing.T, text string, err error) {
	t.Helper()
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		if at, ok := err.(*Error); !ok || at.Line > strings.Count(text, "\n")+1 || strings.ContainsAny(err.Error(), "\n\r\x00") {
			t.Fatalf("%q", err)
		}
	}
	if len(all) > maxErrors+1 {
		t.Fatalf("%d errors", len(all))
	}
}

// FuzzHeaders does the same with header fields: a head stays well-formed, and keeps the fields
// of the server.
func FuzzHeaders(f *testing.F) {
	f.Add("/*\n  X-A: b\n  ! Server-Timing\n  x-a: :splat\n/:a\n  Cache-Control: :a", "/x%0d%0a")
	f.Add("https://h/*\n  Set-Cookie: a\n  Vary: b\n  ! x", "/y/z/")
	f.Fuzz(func(t *testing.T, text, path string) {
		s, err := Parse(Text{Kind: Headers, Name: "_headers", Bytes: []byte(text)})
		if err != nil {
			refused(t, text, err)
			return
		}
		var m Match
		if !s.Fields(&m, Request{Path: []byte(path), Host: []byte("h")}) {
			return
		}
		const head = "HTTP/1.1 200 OK\r\nServer: x\r\nCache-Control: c\r\nContent-Length: 5\r\n\r\n"
		for about := range Other + 1 {
			out := m.Amend([]byte(head), 0, about)
			lines, ok := bytes.CutSuffix(out, []byte("\r\n\r\n"))
			if !ok || !bytes.HasPrefix(out, []byte("HTTP/1.1 200 OK\r\nServer: x\r\n")) || bytes.Count(out, []byte("\r\nContent-Length: 5\r\n")) != 1 {
				t.Fatalf("%q", out)
			}
			for _, line := range bytes.Split(lines, []byte("\r\n"))[1:] {
				name, value, ok := bytes.Cut(line, []byte(": "))
				if !ok || !proto.IsToken(string(name)) || bytes.ContainsAny(value, "\r\n\x00") {
					t.Fatalf("line %q", line)
				}
			}
		}
	})
}
