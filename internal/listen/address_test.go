package listen

import "testing"

// A URL omits the default port of its scheme.
func TestURL(t *testing.T) {
	for want, a := range map[string]Address{
		"http://localhost:8080/": {Port: 8080},
		"http://localhost/":      {Host: "::", Port: 80},
		"http://localhost:443/":  {Host: "0.0.0.0", Port: 443},
		"https://localhost/":     {Port: 443, Secure: true},
		"https://localhost:80/":  {Port: 80, Secure: true},
		"https://[::1]/":         {Host: "::1", Port: 443, Secure: true},
		"http://192.0.2.7/":      {Host: "192.0.2.7", Port: 80},
		"":                       {Path: "/run/x.sock", Port: 80},
	} {
		if got := a.URL(); got != want {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
}
