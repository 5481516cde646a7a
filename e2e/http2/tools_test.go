package http2

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// curl's options for each transport.
var curlWays = map[string][]string{
	overTLS: {"-sk", "--http2"},
	inClear: {"-s", "--http2-prior-knowledge"},
}

// TestCurl makes curl's requests of other tests over HTTP/2.
func TestCurl(t *testing.T) {
	t.Parallel()
	base, big := website(t, 3<<20+123)
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		ways(t, base, func(t *testing.T, s *harness.Server, way string) {
			curl := func(path string, more ...string) string {
				t.Helper()
				return run(t, "curl", append(append(curlWays[way], s.URL(path)), more...)...)
			}
			if got := curl("/big.bin"); !bytes.Equal([]byte(got), big) {
				t.Errorf("the content differs from the file's %d bytes: %d bytes", len(big), len(got))
			}
			const writeOut = "%{http_version} %{http_code} %{size_download}"
			for _, c := range []struct {
				path, want string
				more       []string
			}{
				{"/", "2 200 5", nil},
				{"/empty.txt", "2 200 0", nil},
				{"/nothing", "2 404 11", nil},
				{"/sub", "2 301", nil},
				{"/a.txt", "2 206 4", []string{"-r", "2-5"}},
				{"/a.txt", "2 416", []string{"-r", "100-"}},
				{"/a.txt", "2 304 0", []string{"-H", "If-None-Match: *"}},
				{"/a.txt", "2 200 0", []string{"-I"}},
				{"/a.txt", "2 405", []string{"-d", strings.Repeat("x", 100_000)}},
				{"/app.js", "2 200 4", []string{"-H", "Accept-Encoding: gzip"}},
				{"/a.txt", "2 200 10", []string{"-H", "Cookie: " + strings.Repeat("c", 6000)}},
			} {
				got := curl(c.path, append(c.more, "-o", os.DevNull, "-w", writeOut)...)
				if !strings.HasPrefix(got, c.want) {
					t.Errorf("%s %.80q: %q, want %q", c.path, c.more, got, c.want)
				}
			}
			parts := curl("/a.txt", "-r", "0-1,4-5")
			if !strings.Contains(parts, "\r\n\r\n01\r\n") || !strings.Contains(parts, "\r\n\r\n45\r\n") {
				t.Errorf("two ranges: %q", parts)
			}
			s.AwaitRequests(13)
			for _, e := range eventsOf(s.Log.All()) {
				if e.Text("message") == "request" && e.Text("protocol") != "HTTP/2.0" {
					t.Errorf("logged as %v, want protocol HTTP/2.0", e)
				}
			}
		}, "--model", model)
	})
}

func eventsOf(all []harness.Event, _ []string) []harness.Event { return all }

// TestListingAndArchive requests generated responses, several at once on one connection.
func TestListingAndArchive(t *testing.T) {
	t.Parallel()
	base, big := website(t, 6<<20)
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		ways(t, base, func(t *testing.T, s *harness.Server, way string) {
			c := newClient(t, 2)
			var requests sync.WaitGroup
			for i := range 8 {
				requests.Go(func() {
					path, part := "/?archive=tar", big
					if i%2 == 0 {
						path, part = "/many/?format=json", []byte(`"1.txt"`)
					}
					if r, body, err := c.get(s.URL(path)); err != nil || r.StatusCode != 200 || !bytes.Contains(body, part) {
						t.Errorf("%s: the response has %d bytes and lacks the expected content, or failed: %v", path, len(body), err)
					}
				})
			}
			requests.Wait()
		}, "--model", model, "--list", "--archive")
	})
}

// TestNghttp requests many files at once with nghttp, which is strict about the protocol.
func TestNghttp(t *testing.T) {
	t.Parallel()
	base, _ := website(t, 300_000)
	ways(t, base, func(t *testing.T, s *harness.Server, way string) {
		var urls []string
		for i := range 60 {
			urls = append(urls, s.URL([]string{"/", "/a.txt", "/big.bin", "/nothing", "/empty.txt"}[i%5]+fmt.Sprintf("?%d", i)))
		}
		out := run(t, "nghttp", append([]string{"-nv"}, urls...)...)
		if n := len(regexp.MustCompile(`(?m)recv \(stream_id=\d+\) :status: (200|404)$`).FindAllString(out, -1)); n != len(urls) {
			t.Errorf("%d responses to %d requests:\n%.4000s", n, len(urls), out)
		}
		if strings.Contains(out, "RST_STREAM") || regexp.MustCompile(`error_code=[A-Z_]*\(0x0*[1-9a-f]`).MatchString(out) {
			t.Errorf("nghttp reports errors:\n%.4000s", out)
		}
	})
}

// TestH2load counts every request of h2load exactly once.
func TestH2load(t *testing.T) {
	t.Parallel()
	base, _ := website(t, 100_000)
	const each = 1000
	for _, way := range []string{overTLS, inClear} {
		t.Run(way, func(t *testing.T) {
			address := map[string][]string{overTLS: {"--listen", "https://127.0.0.1:0", "--tls-self-signed"}, inClear: {"--listen", "http://127.0.0.1:0"}}[way]
			socket := harness.SocketPath(t)
			s := harness.ServeAs(t, harness.Plan{Args: append([]string{"--base", base, "-v", "--admin", socket, "--workers", "2"}, address...)})
			e := harness.EndpointAt(t, socket)
			for _, load := range [][]string{{"-c4", "-m1", "/a.txt"}, {"-c4", "-m50", "/a.txt"}, {"-c2", "-m20", "/big.bin"}} {
				out := run(t, "h2load", "-n", fmt.Sprint(each), load[0], load[1], s.URL(load[2]))
				if !strings.Contains(out, fmt.Sprintf("%d succeeded, 0 failed, 0 errored, 0 timeout", each)) || !strings.Contains(out, fmt.Sprintf("status codes: %d 2xx", each)) {
					t.Errorf("%q:\n%s", load, out)
				}
			}
			harness.Await(t, 10*time.Second, "a count of every request", func() bool { return e.Pool().Total.Versions["2"] == 3*each })
			total := e.Pool().Total
			if total.Answered != 3*each || total.Truncated != 0 || total.Versions["1.1"] != 0 || total.HTTP2 == nil || total.HTTP2.Endings() != 0 {
				t.Errorf("counters: %+v; HTTP/2: %+v", total, total.HTTP2)
			}
			harness.Await(t, 10*time.Second, "no open request", func() bool { h := e.Pool().Total.HTTP2; return h != nil && h.Streams == 0 })
		})
	}
}

// TestSwitchedOff speaks HTTP/1.1 only if HTTP/2 is switched off or the model does not support it.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	base, _ := website(t, 1000)
	for _, off := range [][]string{{"--http2", "off"}, {"--model", "serial"}} {
		s := serve(t, base, overTLS, off...)
		if got := run(t, "curl", "-sk", "--http2", "-o", os.DevNull, "-w", "%{http_version} %{http_code}", s.URL("/")); got != "1.1 200" {
			t.Errorf("%q over TLS: version and status %s, want 1.1 200", off, got)
		}
		s = serve(t, base, inClear, off...)
		c := s.Dial()
		if r := s.MustAsk(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); r.Status != 505 || !r.Closes() {
			t.Errorf("%q in cleartext: the preface got status %d, closes %v; want 505 and a close", off, r.Status, r.Closes())
		}
	}
}

// TestH2CUpgradeIgnored answers a request with Upgrade: h2c over HTTP/1.1.
func TestH2CUpgradeIgnored(t *testing.T) {
	t.Parallel()
	base, _ := website(t, 1000)
	s := serve(t, base, inClear)
	if got := run(t, "curl", "-s", "--http2", "-o", os.DevNull, "-w", "%{http_version} %{http_code}", s.URL("/")); got != "1.1 200" {
		t.Errorf("version and status %s, want 1.1 200", got)
	}
}

// haproxyConfig is a configuration of HAProxy with one server, whose line is given.
func haproxyConfig(port int, server string) []byte {
	return fmt.Appendf(nil, `defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    timeout check 60s
frontend front
    bind %s
    default_backend back
backend back
    http-reuse always
    option httpchk GET /readyz
    server one %s
`, harness.Loopback(port), server)
}

// TestBehindHAProxy serves a proxy that speaks HTTP/2 to its server, in cleartext and over TLS, and checks the
// admin endpoint.
func TestBehindHAProxy(t *testing.T) {
	t.Parallel()
	base, big := website(t, 2<<20)
	for _, way := range []string{overTLS, inClear} {
		t.Run(way, func(t *testing.T) {
			admin := harness.FreePort(t)
			s := serve(t, base, way, "--admin", harness.Loopback(admin))
			backend := harness.Loopback(s.Port) + " proto h2 check check-proto h1"
			if way == overTLS {
				backend = harness.Loopback(s.Port) + " ssl verify none alpn h2 check"
			}
			port := harness.FreePort(t)
			config := filepath.Join(harness.OpenDir(t), "haproxy.cfg")
			harness.Write(t, config, haproxyConfig(port, fmt.Sprintf("%s port %d inter 100ms fall 1 rise 1", backend, admin)))
			start(t, "haproxy", "-db", "-f", config)
			harness.Await(t, 10*time.Second, "the proxy", func() bool { return !harness.Refused(port) })
			c := newClient(t, 1)
			front := "http://" + harness.Loopback(port)
			for i := range 40 {
				r, body, err := c.get(fmt.Sprintf("%s/big.bin?%d", front, i))
				if err != nil || r.StatusCode != 200 || !bytes.Equal(body, big) {
					t.Fatalf("download %d: %d bytes, %v", i, len(body), err)
				}
			}
			for _, e := range s.AwaitRequests(40) {
				if e.Text("message") == "request" && e.Text("protocol") != "HTTP/2.0" {
					t.Errorf("logged as %v, want protocol HTTP/2.0", e)
				}
			}
		})
	}
}
