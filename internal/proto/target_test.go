package proto

import (
	"strings"
	"testing"
)

func TestTarget(t *testing.T) {
	tests := []struct {
		name, method, target string
		path, query          string
	}{
		{"9112-3.2.1 origin-form", "GET", "/a/b", "/a/b", ""},
		{"9112-3.2.1 query", "GET", "/a?b=c?d", "/a", "?b=c?d"},
		{"9112-3.2.1 empty query", "GET", "/a?", "/a", "?"},
		{"9112-3.2.1 two slashes are no authority", "GET", "//host/a", "//host/a", ""},
		{"9112-3.2.1 percent-encoding is left", "GET", "/%2e%2E/%00%zz", "/%2e%2E/%00%zz", ""},
		{"9112-3.2.1 raw UTF-8", "GET", "/\xc3\xa4", "/\xc3\xa4", ""},
		{"9112-3.2.1 a URI in the query", "GET", "/?http://a/b", "/", "?http://a/b"},
		{"9112-3.2.2 absolute-form", "GET", "http://example.com:80/a?b", "/a", "?b"},
		{"9112-3.2.2 scheme in capitals", "GET", "HTTP://example.com/a", "/a", ""},
		{"9112-3.2.2 https", "GET", "https://example.com/a", "/a", ""},
		{"9112-3.2.2 no path", "GET", "http://example.com", "", ""},
		{"9112-3.2.2 no path and a query", "GET", "http://example.com?a", "", "?a"},
		{"9112-3.2.2 IPv6", "GET", "http://[::1]:8080/a", "/a", ""},
		{"9112-3.2.2 a second slash belongs to the path", "GET", "http://h//evil/", "//evil/", ""},
		{"9112-3.2.2 OPTIONS", "OPTIONS", "http://example.com", "", ""},
		{"9112-3.2.3 authority-form", "CONNECT", "example.com:443", "", ""},
		{"9112-3.2.3 authority-form with IPv6", "CONNECT", "[::1]:443", "", ""},
		{"9112-3.2.4 asterisk-form", "OPTIONS", "*", "", ""},
		{"9112-3.2.4 asterisk-form of a method not known", "BREW", "*", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := []byte(tt.method + " " + tt.target + " HTTP/1.1\r\nHost: a\r\n\r\n")
			o := parseEverySplit(t, raw)
			if o.result != Complete {
				t.Fatalf("refused: %+v", o.fault)
			}
			target, path, query := o.req.Target.In(raw), o.req.Path.In(raw), o.req.Query.In(raw)
			if string(target) != tt.target || string(path) != tt.path || string(query) != tt.query {
				t.Errorf("target %q, path %q, query %q; want path %q, query %q", target, path, query, tt.path, tt.query)
			}
			if o.req.Asterisk != (tt.target == "*") {
				t.Errorf("asterisk %v", o.req.Asterisk)
			}
			if name := o.req.MethodName.In(raw); string(name) != tt.method {
				t.Errorf("method %q", name)
			}
		})
	}
}

func TestTargetRefused(t *testing.T) {
	tests := []struct{ name, method, target string }{
		{"9112-3.2 no slash", "GET", "index.html"},
		{"9112-3.2 authority without a scheme", "GET", "example.com:80"},
		{"9112-3.2 another scheme", "GET", "ftp://example.com/"},
		{"9112-3.2 one slash", "GET", "http:/example.com/"},
		{"9110-4.2.1 empty host", "GET", "http:///a"},
		{"9110-4.2.1 scheme alone", "GET", "http://"},
		{"9110-4.2.1 port alone", "GET", "http://:80/a"},
		{"9110-4.2.4 userinfo", "GET", "http://user@example.com/a"},
		{"9110-4.2.4 userinfo with a password", "GET", "http://user:p@example.com/a"},
		{"3986-3.2.2 host", "GET", "http://exa|mple/a"},
		{"3986-3.2.2 backslash", "GET", `http://a\b/`},
		{"9112-3.2 fragment", "GET", "/a#b"},
		{"9112-3.2 fragment behind a query", "GET", "/a?b#c"},
		{"9112-3.2 fragment of an absolute-form", "GET", "http://a/b#c"},
		{"9112-3.2 fragment right behind the host", "GET", "http://a#c"},
		{"9112-3.2.3 CONNECT with a path", "CONNECT", "/"},
		{"9112-3.2.3 CONNECT with a URI", "CONNECT", "http://a:80/"},
		{"9112-3.2.3 CONNECT without a port", "CONNECT", "example.com"},
		{"9112-3.2.4 GET *", "GET", "*"},
		{"9112-3.2.4 HEAD *", "HEAD", "*"},
		{"9112-3.2.4 OPTIONS **", "OPTIONS", "**"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := parseEverySplit(t, []byte(tt.method+" "+tt.target+" HTTP/1.1\r\nHost: a\r\n\r\n"))
			if o.result != Refused || o.fault.Status != StatusBadRequest {
				t.Errorf("result %v, fault %+v", o.result, o.fault)
			}
		})
	}
}

func TestHost(t *testing.T) {
	valid := []string{
		"", "a", "example.com", "EXAMPLE.com:8080", "a:", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:80",
		"[::ffff:1.2.3.4]:1", "[v1.a:b]", "a-b_c~d", "%41b", "xn--bcher-kva.example", "a!$&'()*+;=b", "a..b", "a:65535",
	}
	invalid := []string{
		":80", ":", "a:b", "a:80:80", "a:-1", "a:+1", "a: 80", "a b", "a/b", "a/", "/", "a?b", "a#b", "u@a", "@", `a\b`,
		"[::1", "::1", "[]", "[:]x", "[::1]x", "[::1]80", "[::1]:x", "[:/:]", "[::1]]", "a%", "a%4", "a%4x", "a\xc3\xa4",
		"a|b", "a\"b", "<a>", "a:123456", "a\tb", "[a]:80]",
	}
	for _, v := range valid {
		if !validHost([]byte(v)) {
			t.Errorf("9110-7.2: %q is refused", v)
		}
	}
	for _, v := range invalid {
		if validHost([]byte(v)) {
			t.Errorf("9110-7.2: %q is accepted", v)
		}
	}
}

// TestHostAndPort takes them from the target, or else from Host.
func TestHostAndPort(t *testing.T) {
	for _, tt := range []struct{ target, field, host, port string }{
		{"/", "example.com", "example.com", ""},
		{"/", "example.com:8080", "example.com", "8080"},
		{"/", "example.com:", "example.com", ""},
		{"/", "[::1]", "[::1]", ""},
		{"/", "[::1]:80", "[::1]", "80"},
		{"/", "", "", ""},
		{"http://a:1/x", "b:2", "a", "1"},
		{"http://a", "b:2", "a", ""},
	} {
		raw := []byte("GET " + tt.target + " HTTP/1.1\r\nHost: " + tt.field + "\r\n\r\n")
		o := parseEverySplit(t, raw)
		if host, port := o.req.Host(raw), o.req.Port(raw); string(host) != tt.host || string(port) != tt.port {
			t.Errorf("9112-3.2.2 %s with Host %q: host %q, port %q", tt.target, tt.field, host, port)
		}
	}
}

// literals lists what is valid in brackets and what is not (RFC 3986 §3.2.2).
var literals = struct{ valid, invalid []string }{
	valid: []string{
		"::", "::1", "1::", "1:2:3:4:5:6:7:8", "abcd:EF01::", "1::8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3::5:6:7:8",
		"::1.2.3.4", "::255.255.255.255", "::0.0.0.0", "1:2:3:4:5:6:1.2.3.4", "::2:3:4:5:6:1.2.3.4", "1::5:6:1.2.3.4",
		"0001:0:00:000:0000::", "v1.a", "V1.a:b", "vFf.-._~!$&'()*+,;=:",
	},
	invalid: []string{
		"", ":", ":::", "::g", "4712::abcd::", "1:2:3:4:5:6:7:8:9", "::300.1.1.1", "::::", "1:::2", "1:2:3:4:5:6:7", "1", "1:", ":1",
		"1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "12345::", "::12345",
		"::1.2.3", "::1.2.3.4.5", "::1.2.3.04", "::01.2.3.4", "::1.2.3.", "::.1.2.3", "::1..2.3", "::1.2.3.256", "::a.1.2.3", "::1.2.3.a",
		"1.2.3.4", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:1.2.3.4", "::1:2:3:4:5:6:1.2.3.4", "::1234.1.1.1",
		"fe80::1%25eth0", "fe80::1%eth0", "::1 ", " ::1", "::1/64", "::-1", "::+1", "1;2", "[::1", "v", "v1", "v1.", "v.a", "vg.a", "v1.a/b", "v1.%41", "x1.a",
	},
}

func TestLiteral(t *testing.T) {
	for valid, list := range map[bool][]string{true: literals.valid, false: literals.invalid} {
		for _, v := range list {
			if validLiteral([]byte(v)) != valid {
				t.Errorf("3986-3.2.2: [%s]: valid is %v, want %v", v, !valid, valid)
			}
			want := Refused
			if valid {
				want = Complete
			}
			for _, raw := range []string{
				"GET / HTTP/1.1\r\nHost: [" + v + "]:80\r\n\r\n",
				"GET http://[" + v + "]/ HTTP/1.1\r\nHost: a\r\n\r\n",
				"CONNECT [" + v + "]:80 HTTP/1.1\r\nHost: a\r\n\r\n",
			} {
				if o := parseEverySplit(t, []byte(raw)); o.result != want || want == Refused && o.fault.Status != StatusBadRequest {
					t.Errorf("9112-3.2: %q: result %v, want %v with 400", raw, o.result, want)
				}
			}
		}
	}
}

func TestHostInHead(t *testing.T) {
	for _, v := range []string{"a,b", "a, b", "a b", "http://a"} {
		raw := "GET / HTTP/1.1\r\nHost: " + v + "\r\n\r\n"
		want := Refused
		if !strings.ContainsAny(v, " /") {
			want = Complete // a comma is a sub-delim
		}
		if o := parseEverySplit(t, []byte(raw)); o.result != want {
			t.Errorf("9112-3.2: Host %q: result %v, want %v", v, o.result, want)
		}
	}
}
