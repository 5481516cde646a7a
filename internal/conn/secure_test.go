package conn

import (
	"strings"
	"testing"
	"time"
)

// moved returns a redirect to the location.
func moved(connection, location string) string {
	return page(connection, "308 Permanent Redirect", "Location: "+location+"\r\n")
}

// Requests in cleartext are redirected to the same host and path, and nowhere else.
var redirections = []sequence{
	{"path and query", get("/a/b?c=d&e"), moved("", "https://a/a/b?c=d&e"), false},
	{"kept open", get("/") + get("/a"), moved("", "https://a/") + moved("", "https://a/a"), false},
	{"HEAD", request("HEAD", "/a"), headOf(moved("", "https://a/a")), false},
	{"POST", request("POST", "/a"), moved("", "https://a/a"), false},
	{"POST with a body", request("POST", "/a", "Content-Length: 5") + "hello", moved(closes, "https://a/a"), true},
	{"a file or none", get("/nope"), moved("", "https://a/nope"), false},
	{"a port", "GET /a HTTP/1.1\r\nHost: a:8080\r\n\r\n", moved("", "https://a/a"), false},
	{"an IPv6 address", "GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", moved("", "https://[::1]/a"), false},
	{"an IPv6 address without a port", "GET /a HTTP/1.1\r\nHost: [::1]\r\n\r\n", moved("", "https://[::1]/a"), false},
	{"absolute-form", get("http://b.example:80/x?y"), moved("", "https://b.example/x?y"), false},
	{"absolute-form without a path", get("http://b.example"), moved("", "https://b.example/"), false},
	{"absolute-form with a query alone", get("http://b.example?x"), moved("", "https://b.example/?x"), false},
	{"no other host by slashes", get("//evil.example/a"), moved("", "https://a//evil.example/a"), false},
	{"nor by a backslash", get(`/\evil?\`), moved("", "https://a/%5Cevil?%5C"), false},
	{"nor by user information", "GET / HTTP/1.1\r\nHost: a@evil.example\r\n\r\n", page(closes, "400 Bad Request", ""), true},
	{"a URI", get("/d\xc3\xa4%20?\""), moved("", "https://a/d%C3%A4%20?%22"), false},
	{"HTTP/1.0 with a host", "GET /a HTTP/1.0\r\nHost: a\r\n\r\n", moved(closes, "https://a/a"), true},
	{"HTTP/1.0 without", "GET /a HTTP/1.0\r\n\r\n", page(closes, "400 Bad Request", ""), true},
	{"an empty host", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", page(closes, "400 Bad Request", ""), true},
	{"OPTIONS *", request("OPTIONS", "*"), options, false},
	{"unknown", request("BREW", "/pot"), page("", "501 Not Implemented", ""), false},
	{"CONNECT", request("CONNECT", "a:443"), page("", "405 Method Not Allowed", allow), false},
	{"a challenge", get("/.well-known/acme-challenge/tok"), proof, false},
	{"HEAD of a challenge", request("HEAD", "/.well-known/acme-challenge/tok"), headOf(proof), false},
	{"an unknown challenge", get("/.well-known/acme-challenge/other"), moved("", "https://a/.well-known/acme-challenge/other"), false},
}

const proof = "HTTP/1.1 200 OK\r\n" + common + stale + "Content-Type: application/octet-stream\r\nContent-Length: 7\r\n\r\ntok.key"

// redirecting returns a configuration with a port for HTTPS.
func redirecting(port uint16) *Config {
	cfg := newConfig()
	cfg.SecurePort, cfg.Challenges = port, map[string]string{"tok": "tok.key"}
	return cfg
}

func TestRedirect(t *testing.T) {
	for _, s := range redirections {
		t.Run(s.name, func(t *testing.T) {
			got, ended := exchangeEverySplit(t, func() *Config { return redirecting(443) }, s.raw)
			if got != s.want || ended != s.ended {
				t.Errorf("ended %v\n%q, want %v\n%q", ended, got, s.ended, s.want)
			}
		})
	}
	d := newDriver(t, redirecting(8443), nil)
	d.receive("GET /a HTTP/1.1\r\nHost: b:8080\r\n\r\n")
	if want := moved("", "https://b:8443/a"); string(d.reply) != want {
		t.Errorf("%q, want %q", d.reply, want)
	}
}

// Requests through a unix socket are not redirected: the proxy has decided about TLS, and
// would loop.
func TestLocalIsNotRedirected(t *testing.T) {
	d := newDriver(t, redirecting(443), nil)
	d.conn.Local()
	d.receive("GET /a HTTP/1.1\r\nHost: b\r\n\r\n")
	if string(d.reply[:12]) == "HTTP/1.1 308" {
		t.Errorf("%q", d.reply)
	}
}

// Over TLS the same requests are served, also a challenge, with
// Strict-Transport-Security.
func TestSecure(t *testing.T) {
	const strict = "Strict-Transport-Security: max-age=3600\r\n"
	cfg := redirecting(443)
	cfg.HSTS = time.Hour
	for raw, want := range map[string]string{
		get("/"):                                home,
		get("/nope"):                            notFound,
		get("/.well-known/acme-challenge/tok"):  proof,
		get("/.well-known/acme-challenge/none"): notFound,
	} {
		d := newDriver(t, cfg, nil)
		d.conn.Secure()
		d.receive(raw)
		if want = strings.Replace(want, "nosniff\r\n", "nosniff\r\n"+strict, 1); string(d.reply) != want {
			t.Errorf("%q, want %q", d.reply, want)
		}
	}
	d := newDriver(t, cfg, nil)
	if d.receive(get("/")); strings.Contains(string(d.reply), "Strict") {
		t.Errorf("in cleartext: %q", d.reply)
	}
	cfg.Header = []string{"strict-transport-security: max-age=1; includeSubDomains"}
	d = newDriver(t, cfg, nil)
	d.conn.Secure()
	if d.receive(get("/")); strings.Count(strings.ToLower(string(d.reply)), "strict-transport-security: ") != 1 {
		t.Errorf("with a field of the site: %q", d.reply)
	}
}

// The response to plain HTTP on a port for TLS is in cleartext, with a page that says so.
func TestInClear(t *testing.T) {
	cfg := redirecting(443)
	cfg.HSTS = time.Hour
	o := &observer{}
	d := newDriver(t, cfg, o)
	d.conn.Secure()
	d.conn.InClear()
	d.pump()
	reply := string(d.reply)
	if !strings.HasPrefix(reply, "HTTP/1.1 400 Bad Request\r\n"+common+closes) || !strings.Contains(reply, "<p>This port is for HTTPS: ") || strings.Contains(reply, "Strict") {
		t.Errorf("%q", reply)
	}
	if len(o.records) != 1 || o.records[0].status != 400 || o.records[0].reason != "plain HTTP on a port for HTTPS" {
		t.Errorf("observed %+v", o.records)
	}
}

// A TLS client on a port for plain HTTP is distinguished from one that sends garbage.
func TestHello(t *testing.T) {
	for raw, want := range map[string]bool{"\x16": true, "\x16\x03\x01\x02\x00\x01": true, "\x15\x03": false, "\x00": false, "GET / HTTP/9\r\n\r\n": false} {
		o := &observer{}
		d := newDriver(t, newConfig(), o)
		d.receive(raw)
		if len(o.decided) != 1 || o.decided[0].Hello() != want || !strings.Contains(string(d.reply), closes) {
			t.Errorf("%q: %+v, %q", raw, o.decided, d.reply)
		}
	}
}
