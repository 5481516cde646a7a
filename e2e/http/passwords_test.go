package http

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// locked returns a site with a directory for user ann, whose password is "right", and the password
// file, hashed with the given cost.
func locked(t *testing.T, cost int) (base, file string) {
	t.Helper()
	base = harness.Tree(t, map[string]string{
		"index.html": "home", "private/a.txt": "0123456789", "private/a.txt.gz": "gzip", "private/index.html": "private home", "private/dir/b.txt": "b",
		"public/p.txt": "public", "404.html": "missing", "401.html": "who are you?", "_redirects": "/inside/* /private/:splat 200\n/private/forced /elsewhere 302!\n",
		"_headers": "/private/*\n  Cache-Control: public, max-age=60\n",
	})
	if err := os.Symlink("private", filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "htpasswd")
	setPassword(t, file, cost, "ann", "right")
	return base, file
}

func setPassword(t *testing.T, file string, cost int, user, password string) {
	t.Helper()
	htpasswd := harness.Tool(t, "install apache2-utils", "htpasswd")
	out, err := exec.Command(htpasswd, "-nbB", "-C", fmt.Sprint(cost), user, password).Output()
	if err != nil {
		t.Fatal(err)
	}
	harness.Write(t, file, out)
}

func basic(credentials string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

// TestProtectedDirectory requests a password-protected directory by every path that leads into it,
// without and with the password, in every model and engine, over HTTP/1.1 and HTTP/2.
func TestProtectedDirectory(t *testing.T) {
	t.Parallel()
	base, file := locked(t, 4)
	harness.Tool(t, "install curl", "curl")
	for _, args := range [][]string{{"--model", "process"}, {"--engine", "netpoll"}, {"--model", "goroutine"}, {"--model", "serial"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			s := harness.Serve(t, base, append(args, "--list", "--archive", "--auth", "private/**="+file)...)
			challenge := []string{`WWW-Authenticate: Basic realm="private/**", charset="UTF-8"`, "Cache-Control: no-store"}
			var exchanges []exchange
			for _, target := range []string{
				"/private", "/private/", "/private/a.txt", "/private/a.txt.gz", "/private/none", "/private/index.html", "/private/dir/", "/private/?archive=zip", "/private/?format=json",
				"//private/a.txt", "/./private/a.txt", "/private/./a.txt", "/%70rivate/a.txt", "/private/%61.txt", "/PRIVATE/a.txt", "/private./a.txt", "/private%20/a.txt",
				"/link/a.txt", "/link", "/link/none", "/inside/a.txt", "/inside/", "/private/forced",
			} {
				exchanges = append(exchanges, exchange{target: target, status: 401, body: "who are you?", header: challenge}, exchange{method: "HEAD", target: target, status: 401, header: challenge})
			}
			for _, field := range []string{"Range: bytes=0-1", "Range: bytes=99-", "If-None-Match: *", "If-Match: \"x\"", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", "Accept-Encoding: gzip"} {
				exchanges = append(exchanges, exchange{target: "/private/a.txt", fields: []string{field}, status: 401, body: "who are you?"})
			}
			ann, private := basic("ann:right"), []string{"Cache-Control: private, max-age=60", "Vary: Accept-Encoding, Authorization", "Expires:"}
			expect(s, append(exchanges,
				exchange{target: "/private/a.txt", fields: []string{basic("ann:wrong")}, status: 401, body: "who are you?"},
				exchange{target: "/private/a.txt", fields: []string{basic("bob:right")}, status: 401, body: "who are you?"},
				exchange{target: "/private/a.txt", fields: []string{"Authorization: Bearer " + ann[len("Authorization: Basic "):]}, status: 401, body: "who are you?"},
				exchange{target: "/private/a.txt", fields: []string{ann}, status: 200, body: "0123456789", header: private},
				exchange{target: "/private/a.txt", fields: []string{ann, "Range: bytes=1-2"}, status: 206, body: "12", header: private},
				exchange{target: "/private/a.txt", fields: []string{ann, "If-None-Match: *"}, status: 304, header: private},
				exchange{target: "/private/", fields: []string{ann}, status: 200, body: "private home"},
				exchange{target: "/private", fields: []string{ann}, status: 301, body: "*"},
				exchange{target: "/private/none", fields: []string{ann}, status: 404, body: "missing", header: []string{"Cache-Control: private"}},
				exchange{target: "/inside/a.txt", fields: []string{ann}, status: 200, body: "0123456789"},
				exchange{target: "/link/a.txt", fields: []string{ann}, status: 200, body: "0123456789"},
				exchange{target: "/public/p.txt", status: 200, body: "public", header: []string{"Vary: Accept-Encoding", "Cache-Control: max-age=43200"}},
				exchange{method: "OPTIONS", target: "/private/a.txt", status: 204},
			))
			if len(args) == 2 && args[1] == "serial" {
				return
			}
			for credentials, want := range map[string]string{"ann:right": "0123456789 200 2", "ann:wrong": "who are you? 401 2"} {
				url := fmt.Sprintf("http://127.0.0.1:%d/private/a.txt", s.Port)
				out, err := exec.Command("curl", "-sS", "--http2-prior-knowledge", "-u", credentials, "-w", " %{http_code} %{http_version}", url).Output()
				if err != nil || string(out) != want {
					t.Errorf("curl as %s: %q, error %v; want %q", credentials, out, err, want)
				}
			}
		})
	}
}

// TestPasswordFileChanges replaces the password file under a running server, by a valid and by an
// invalid one, and reloads with another file.
func TestPasswordFileChanges(t *testing.T) {
	t.Parallel()
	base, file := locked(t, 4)
	other := file + "2"
	setPassword(t, other, 4, "bob", "right")
	config := filepath.Join(t.TempDir(), "config")
	harness.Write(t, config, []byte("auth = private/**="+file+"\n"))
	s := harness.Serve(t, base, "--workers", "2", "--config", config)
	gets := func(credentials string, status int) bool {
		for range 20 { // so many that both workers get some
			if r, err := requestOnce(s, "GET", "/private/a.txt", []string{basic(credentials)}); err != nil || r.Status != status {
				return false
			}
		}
		return true
	}
	// A cached password does not count as a guess until it is wrong.
	forgets := func(credentials string) func() bool { return func() bool { return gets(credentials, 401) } }
	if !gets("ann:right", 200) {
		t.Fatal("the password does not give access")
	}
	setPassword(t, file, 4, "ann", "other")
	harness.Await(t, 20*time.Second, "401 for the old password", forgets("ann:right"))
	if !gets("ann:other", 200) {
		t.Error("the new password does not give access")
	}
	harness.Write(t, file, []byte("ann:$apr1$abc$NKxAkoTtUloZMd1uGIvNG0\n"))
	bad := file + ":1: the password of ann is hashed with MD5 (apr1), which is too weak; set it again with: htpasswd -B " + file + " ann"
	s.AwaitText(bad + "; the current one stays in use")
	if !gets("ann:other", 200) {
		t.Error("after an invalid file, the previous password does not give access")
	}
	harness.Attempt(t, harness.Plan{Args: []string{"--check", "--config", config, "--base", base}}).Rejects(t, 78, bad)
	harness.Attempt(t, harness.Plan{Args: []string{"--port", "0", "--bind", "127.0.0.1", "--config", config, "--base", base}}).Rejects(t, 78, bad)
	harness.Write(t, config, []byte("auth = private/**="+other+"\nauth = public="+other+"\n"))
	s.Signal(syscall.SIGHUP)
	harness.Await(t, 20*time.Second, "401 for the password of the previous file", forgets("ann:other"))
	expect(s, []exchange{{target: "/public/p.txt", status: 401, body: "*"}, {target: "/private/a.txt", fields: []string{basic("bob:right")}, status: 200, body: "*"}})
}

// TestPasswordGuessing guesses passwords: the guessing client is limited with 429, and other requests are
// not delayed. As many hashes are computed for an unknown user as for a known one.
func TestPasswordGuessing(t *testing.T) {
	t.Parallel()
	for _, cost := range []int{10, 12, 14} { // if this process gets no CPU time, the guesses are over too soon
		if guessing(t, cost) {
			return
		}
	}
	t.Error("other requests were served only after all guesses")
}

// guessing guesses passwords that are hashed with the given cost, and reports whether other requests were
// served meanwhile.
func guessing(t *testing.T, cost int) (meanwhile bool) {
	t.Helper()
	base, file := locked(t, cost)
	s, admin := harness.ServeWithAdmin(t, base, "--workers", "1", "--auth", "private/**="+file)
	others := []exchange{{target: "/private/a.txt", fields: []string{basic("ann:right")}, status: 200, body: "0123456789"}, {target: "/", status: 200, body: "home"}}
	expect(s, others)
	count := func(result string) int { return int(admin.Pool().Total.Credentials[result]) }
	expect(s, []exchange{{target: "/private/a.txt", fields: []string{basic("nobody:right")}, status: 401, body: "*"}})
	if wrong := count("wrong"); wrong != 1 {
		t.Errorf("%d hashes computed for an unknown user, want 1", wrong)
	}
	var guessers sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 30 {
		guessers.Go(func() {
			r, err := requestOnce(s, "GET", "/private/a.txt", []string{basic(fmt.Sprint("ann:", i))})
			mu.Lock()
			defer mu.Unlock()
			if err != nil || r.Status == 429 && r.Header.Get("Retry-After") == "" {
				t.Errorf("guess %d: %v %+v", i, err, r)
				return
			}
			statuses[r.Status]++
		})
	}
	harness.Await(t, 20*time.Second, "a wrong guess", func() bool { return count("wrong") > 1 })
	expect(s, others)
	meanwhile = count("wrong") < 10
	guessers.Wait()
	if statuses[401] != 9 || statuses[429] != 21 || count("wrong") != 10 || count("limited") != 21 || count("right") != 1 {
		t.Errorf("responses to guesses by status: %v; %d hashes were wrong, %d right; want 9 of 401, 21 of 429, 10 wrong, 1 right", statuses, count("wrong"), count("right"))
	}
	return meanwhile
}

// TestRescueDuringPasswordHash kills a worker while it computes a password hash: the next worker sends
// the response.
func TestRescueDuringPasswordHash(t *testing.T) {
	t.Parallel()
	base, file := locked(t, 13)
	s := harness.Serve(t, base, "--workers", "1", "--auth", "private/**="+file)
	c := s.Dial()
	pid, before := s.Workers()[0], harness.CPU(s.PID())
	s.MustSend(c, harness.Request("GET", "/private/a.txt", basic("ann:right")))
	harness.Await(t, 20*time.Second, "CPU time used for the hash", func() bool { return harness.CPU(s.PID()) > before+50*time.Millisecond })
	harness.Kill(t, pid, syscall.SIGKILL)
	r, err := c.Reply("GET")
	if err != nil || r.Status != 200 || string(r.Body) != "0123456789" {
		t.Errorf("error %v, response %+v; want 200 with the file", err, r)
	}
}
