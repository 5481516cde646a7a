package http2

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// TestSameResponses sends the same requests over HTTP/1.1 and HTTP/2. The responses differ only in
// fields that belong to the connection or depend on the time.
func TestSameResponses(t *testing.T) {
	t.Parallel()
	base, _ := website(t, 100_000)
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		ways(t, base, func(t *testing.T, s *harness.Server, way string) {
			old, new := newClient(t, 1), newClient(t, 2)
			tag := etag(t, old, s.URL("/a.txt"))
			n := 0
			for _, path := range []string{"/", "/a.txt", "/empty.txt", "/app.js", "/sub", "/sub/", "/many/", "/many/?format=json", "/nothing", "/%2e%2e/x", "/%zz", "/a%00b", "/big.bin", "/a.txt/", "/?archive=zip"} {
				for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "DELETE", "BREW"} {
					for _, fields := range fieldSets(tag) {
						if method != "GET" && len(fields) > 2 {
							continue
						}
						n++
						a, b := comparedParts(t, old, method, s.URL(path), fields), comparedParts(t, new, method, s.URL(path), fields)
						if a != b {
							t.Errorf("%s %s %q:\n%s\nover HTTP/2:\n%s", method, path, fields, a, b)
						}
					}
				}
			}
			if old.dialed.Load() > 0 && new.dialed.Load() != 1 {
				t.Errorf("%d requests over HTTP/2 took %d connections, want 1", n, new.dialed.Load())
			}
		}, "--model", model, "--list", "--archive", "--cors", "--header", "X-Own: value")
	})
}

// fieldSets returns the header fields of the requests, names and values alternating.
func fieldSets(tag string) [][]string {
	return [][]string{
		{},
		{"Range", "bytes=2-4"}, {"Range", "bytes=-3"}, {"Range", "bytes=1000000-"}, {"Range", "bytes=5-2"},
		{"If-None-Match", tag}, {"If-Match", `"other"`}, {"If-Modified-Since", "Sun, 06 Nov 2022 08:49:37 GMT"},
		{"Accept-Encoding", "gzip, br"}, {"Accept", "application/json"}, {"Origin", "https://example.org"},
		{"Range", "bytes=2-4", "If-Range", tag}, {"Range", "bytes=2-4", "If-Range", `"other"`},
		{"If-None-Match", "*", "If-Modified-Since", "Sun, 06 Nov 2022 08:49:37 GMT"},
		{"Accept-Encoding", "identity;q=0", "Accept-Encoding", "*;q=0"},
	}
}

func etag(t *testing.T, c *client, url string) string {
	t.Helper()
	r, _, err := c.get(url)
	if err != nil || r.Header.Get("Etag") == "" {
		t.Fatalf("no ETag: %v", err)
	}
	return r.Header.Get("Etag")
}

// comparedParts returns the parts of a response that must not depend on the version.
func comparedParts(t *testing.T, c *client, method, url string, fields []string) string {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		return err.Error()
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	response, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	var text strings.Builder
	fmt.Fprintln(&text, response.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(response.Header)) {
		switch name {
		case "Connection", "Transfer-Encoding":
		case "Date", "Expires", "Last-Modified", "X-Request-Id":
			fmt.Fprintln(&text, name, len(response.Header[name]))
		default:
			fmt.Fprintln(&text, name, response.Header[name])
		}
	}
	fmt.Fprintf(&text, "%d bytes\n%.100q", body.Len(), body.Bytes())
	return text.String()
}
