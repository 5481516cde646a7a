package acme

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"phalanx/internal/acme/acmetest"
)

// Whatever an authority sends, the effect is one log line of bounded length.
func TestHostileAuthority(t *testing.T) {
	t.Parallel()
	pebble := acmetest.Start(t, acmetest.Options{})
	problem := func(code int, text string) http.HandlerFunc {
		return func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Content-Type", "application/problem+json")
			out.Header().Set("Replay-Nonce", "bm9uY2U")
			out.WriteHeader(code)
			fmt.Fprint(out, text)
		}
	}
	for name, c := range map[string]struct {
		directory, post http.HandlerFunc
		want            string
	}{
		"an error page": {directory: func(out http.ResponseWriter, _ *http.Request) {
			http.Error(out, "<html>\n"+strings.Repeat("x", 10_000), http.StatusBadGateway)
		}, want: "(account) not obtained because of an error at "},
		"no JSON": {directory: func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Content-Type", "application/json")
			fmt.Fprint(out, "<html>")
		}, want: "(account) not obtained because of an error at "},
		"endless": {directory: func(out http.ResponseWriter, r *http.Request) {
			out.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := out.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, want: "(account) not obtained because of an error at "},
		"not a directory": {directory: func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Content-Type", "application/json")
			fmt.Fprint(out, "{}")
		}, want: "(account) not obtained because of an error at "},
		"hangs up": {directory: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: "(account) not obtained from "},
		"control characters": {
			post: problem(403, `{"type": "urn:ietf:params:acme:error:unauthorized", "detail": "no\n\u001b[31m\u202e`+strings.Repeat("y", 2000)+`"}`),
			want: "(account) refused by ",
		},
		"a problem that is none": {post: problem(400, "]"), want: "(account) not obtained because of an error at "},
		"an empty problem":       {post: problem(400, "{}"), want: "(account) refused by "},
		"bad nonces for ever":    {post: problem(400, `{"type": "urn:ietf:params:acme:error:badNonce", "detail": "again"}`), want: "again (badNonce)"},
		"its own trouble":        {post: problem(503, `{"detail": "maintenance"}`), want: "(account) not obtained because of an error at "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkers(t)
			cfg := setting(t, pebble, w, "one.test")
			cfg.Directory = hostile(t, pebble, c.directory, c.post)
			client := run(t, cfg, pebble.RootFile)
			w.wait(t, "a line", func() bool { return len(w.lines) > 0 })
			client.stop()
			line := w.lines[0]
			if !strings.HasPrefix(line, "certificate for one.test ") || !strings.Contains(line, c.want) || len(line) > maxDetail+400 || strings.ContainsAny(line, "\n\x1b\u202e") {
				t.Errorf("%q", line)
			}
		})
	}
}

// hostile returns the directory URL of an authority with these handlers. nil stands for the
// handler of an ordinary authority.
func hostile(t *testing.T, like *acmetest.Authority, directory, post http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			post(out, r)
		case r.Method == http.MethodHead:
			out.Header().Set("Replay-Nonce", "bm9uY2U")
		case directory != nil:
			directory(out, r)
		default:
			out.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(out, `{"newNonce": "%[1]s/nonce", "newAccount": "%[1]s/account", "newOrder": "%[1]s/order"}`, server.URL)
		}
	})
	pair, err := tls.LoadX509KeyPair(like.RootFile, like.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	// The library caches directories by URL, and another server may have had this port.
	return server.URL + "/" + rand.Text()
}
