package conn

import (
	"strings"
	"testing"
)

// Saying why changes no reply, and whatever the connection itself decides of a
// head has been explained, line by line.
func TestExplain(t *testing.T) {
	// The site, which here says nothing, explains the type of a file.
	const siteSays = "content-type"
	for _, raw := range []string{
		get("/"), request("HEAD", "/a"), get("/big"), get("/young"), get("/future", "Range: bytes=0-1", "If-Range: "+dateNow), get("/nope"), get("/dir"),
		get("/shut"), get("/busy"), get("/broken"), get("/bad%"), get("/a", "Range: bytes=2-4"), get("/a", "Range: bytes=0-1,4-5"), get("/a", "Range: bytes=20-"),
		get("/a", "If-None-Match: *"), get("/a", "If-Match: \"x\""), get("/", "Connection: close"), request("POST", "/", "Content-Length: 3"),
		request("OPTIONS", "*", "Origin: x"), request("BREW", "/"), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n", get("/", "Expect: x"), get("/", "Content-Length: 99999999"), get("/", strings.Repeat("X: y\r\n", 100)+"X: y"),
		"GET /" + strings.Repeat("a", 9000),
	} {
		config := func(explain func(what, why string)) *Config {
			cfg := newConfig()
			cfg.CORS, cfg.Header, cfg.Explain = true, []string{"X-Own: 1"}, explain
			cfg.ID = func(dst []byte) []byte { return append(dst, "made"...) }
			return cfg
		}
		want, _ := exchange(t, config(nil), nil, raw)
		said := make(map[string]string)
		got, _ := exchange(t, config(func(what, why string) { said[strings.ToLower(what)] = why }), nil, raw)
		if got != want {
			t.Errorf("%.60q: explained\n%s\nelse\n%s", raw, got, want)
		}
		head, _, _ := strings.Cut(got, "\r\n\r\n")
		for _, line := range strings.Split(head, "\r\n")[1:] {
			name, _, _ := strings.Cut(strings.ToLower(line), ":")
			if said[name+":"] == "" && name != siteSays {
				t.Errorf("%.60q: nobody explains %q", raw, line)
			}
		}
		if said["status"] == "" {
			t.Errorf("%.60q: nobody explains the status", raw)
		}
		if !strings.HasPrefix(head, "HTTP/1.1 505") && strings.Contains(said["status"], "version") {
			t.Errorf("%.60q: %s", head, said["status"])
		}
	}
}
