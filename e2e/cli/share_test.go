package cli

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// shared is a running share whose output is a pipe.
type shared struct {
	*harness.Server
	url string // the first address of the output
}

var firstAddress = regexp.MustCompile(`(?m)^address (https?://[^/]+:(\d+)/.*)$`)

func startShare(t *testing.T, args ...string) shared {
	t.Helper()
	s := harness.Launch(t, harness.Plan{Args: append([]string{"share"}, args...)})
	return awaitShare(t, s)
}

func awaitShare(t *testing.T, s *harness.Server) shared {
	t.Helper()
	var m []string
	harness.Await(t, 15*time.Second, "an address in the output", func() bool {
		if s.Gone() {
			t.Fatalf("share exited with status %d: %s", s.Status(), s.Log)
		}
		m = firstAddress.FindStringSubmatch(s.Out.String())
		return m != nil
	})
	s.Port = harness.Atoi(m[2])
	return shared{s, m[1]}
}

// awaitLine waits for a line of the output that matches, after its time.
func (s shared) awaitLine(text string) {
	s.T.Helper()
	harness.Await(s.T, 10*time.Second, fmt.Sprintf("the line %q in\n%s", text, s.Out), func() bool {
		return regexp.MustCompile(`(?m)^(\d\d:\d\d:\d\d  )?` + text + `$`).MatchString(s.Out.String())
	})
}

// fetch returns the status and body of a response. credentials may be empty.
func fetch(t *testing.T, url, credentials string) (int, string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user, password, ok := strings.Cut(credentials, ":"); ok {
		r.SetBasicAuth(user, password)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// TestShare shares a directory with several workers and prints a line for each event, and a summary.
func TestShare(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "site", "a b.txt": "text", "sub/c.txt": "c"})
	s := startShare(t, base, "--port", "0", "--bind", "127.0.0.1", "--workers", "3")
	if status, body := fetch(t, s.url, ""); status != 200 || !strings.Contains(body, "a%20b.txt") || !strings.Contains(body, "index.html") {
		t.Errorf("listing: %d %s", status, body)
	}
	for range 20 { // served by any of the workers
		if status, body := fetch(t, s.url+"a%20b.txt", ""); status != 200 || body != "text" {
			t.Errorf("a b.txt: %d %s, want 200 text", status, body)
		}
	}
	fetch(t, s.url+"nope", "")
	s.awaitLine(`127\.0\.0\.1        viewed       /`)
	s.awaitLine(`127\.0\.0\.1        downloaded   a b\.txt  4 B`)
	s.awaitLine(`127\.0\.0\.1        refused      nope  not found`)
	s.Stop(5 * time.Second)
	if got := s.Out.String(); !strings.HasPrefix(got, "sharing "+base+"\naddress http://127.0.0.1:") ||
		!strings.HasSuffix(got, "\nDownloaded 1 file, 80 B, by 1 client:\n      80 B  a b.txt (20 times, by 127.0.0.1)\n") || strings.Contains(got, "\x1b") {
		t.Errorf("output %q", got)
	}
	if err := s.Log.String(); err != "" {
		t.Errorf("standard error has %q, want nothing", err)
	}
}

// TestShareSecrets generates a password and a random path: both are printed once, required for every
// request, and hidden from other users.
func TestShareSecrets(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"a.txt": "text", "404.html": "own page"})
	s := startShare(t, "--password", "--random-path", base, "-vv", "--port", "0", "--bind", "127.0.0.1")
	m := regexp.MustCompile(`(?m)^user (\w+)\npassword (.*)$`).FindStringSubmatch(s.Out.String())
	if m == nil {
		t.Fatal(s.Out)
	}
	credentials, root := m[1]+":"+m[2], "http://"+harness.Loopback(s.Port)
	path := strings.TrimPrefix(s.url, root)
	for _, tt := range []struct {
		url, credentials string
		status           int
		body             string
	}{
		{s.url + "a.txt", credentials, 200, "text"},
		{s.url + "a.txt", "", 401, "user name and password"},
		{s.url + "a.txt", m[1] + ":" + m[2] + "x", 401, ""},
		{root + "/a.txt", credentials, 404, ""},
		{root + "/", credentials, 404, ""},
		{root + "/nope", "", 401, ""},
	} {
		status, body := fetch(t, tt.url, tt.credentials)
		if status != tt.status || !strings.Contains(body, tt.body) || strings.Contains(body, "own page") {
			t.Errorf("%s with credentials %q: %d %s, want %d", tt.url, tt.credentials, status, body, tt.status)
		}
	}
	s.awaitLine(`127\.0\.0\.1        refused      a\.txt  without the password`)
	for _, pid := range append(s.Workers(), s.PID()) {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil || strings.Contains(string(line), m[2]) || strings.Contains(string(line), path) {
			t.Errorf("command line of process %d: %q, error %v; want no password or path", pid, line, err)
		}
	}
	s.Stop(5 * time.Second)
	out := s.Out.String() + s.Log.String()
	if n := strings.Count(out, m[2]); n != 1 || strings.Contains(out, base64.StdEncoding.EncodeToString([]byte(credentials))) {
		t.Errorf("the password is printed %d times, want 1:\n%s", n, out)
	}
}

// TestShareFiles shares a single file, and files and directories of different places.
func TestShareFiles(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"one file.iso": "iso", "x/other.txt": "other", "y/dir/z.txt": "z"})
	free := []string{"--port", "0", "--bind", "127.0.0.1"}
	s := startShare(t, append(free, base+"/one file.iso")...)
	if !strings.HasSuffix(s.url, "/one%20file.iso") {
		t.Errorf("address %s, want one that ends in the file's name", s.url)
	}
	root := "http://" + harness.Loopback(s.Port)
	for path, want := range map[string]string{"/one%20file.iso": "200 iso", "/x/other.txt": "404", "/": "200"} {
		if status, body := fetch(t, root+path, ""); !strings.HasPrefix(fmt.Sprint(status, " ", body), want) || strings.Contains(body, "other") {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	several := startShare(t, append(free, base+"/one file.iso", base+"/x/other.txt", base+"/y/dir")...)
	for path, want := range map[string]string{"one%20file.iso": "200 iso", "other.txt": "200 other", "dir/z.txt": "200 z", "dir/": "200", "": "200", "x/other.txt": "404"} {
		if status, body := fetch(t, several.url+path, ""); !strings.HasPrefix(fmt.Sprint(status, " ", body), want) {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	// A reload changes neither the generated secrets nor the shared files.
	before := several.Workers()
	several.Signal(1)
	several.AwaitWorkers(len(before), before...)
	if status, body := fetch(t, several.url+"dir/z.txt", ""); status != 200 || body != "z" {
		t.Errorf("after a reload: %d %s, want 200 z", status, body)
	}
}

// TestSharePort uses the next free port if the default one is in use, but no other than the one of --port.
func TestSharePort(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"a.txt": "text"})
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	if err == nil { // else another program has it, perhaps not for long
		defer l.Close()
	}
	s := startShare(t, base, "--bind", "127.0.0.1")
	if s.Port < 8080 || s.Port == 8080 && err == nil {
		t.Errorf("shared on port %d, want one above 8080", s.Port)
	}
	o := harness.Attempt(t, harness.Plan{Args: []string{"share", base, "--bind", "127.0.0.1", "-p", strconv.Itoa(s.Port)}})
	o.Rejects(t, 1, "--port "+strconv.Itoa(s.Port), "in use")
}

// TestShareDuration ends a share after --for, once the download under way has ended.
func TestShareDuration(t *testing.T) {
	t.Parallel()
	dir := harness.MemoryDir(t)
	const size = 64 << 20
	harness.Sparse(t, dir+"/big", size)
	s := startShare(t, dir, "--port", "0", "--bind", "127.0.0.1", "--for", "15s")
	d := s.Begin("/big", 64<<10)
	if err := d.Take(1 << 20); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 30*time.Second, "the end of the share", func() bool { return harness.Refused(s.Port) })
	if s.Gone() {
		t.Fatal("the server exited before the download ended")
	}
	s.MustComplete(d)
	s.MustExit(10 * time.Second)
	if got := s.Out.String(); !strings.Contains(got, "\nuntil ") || !strings.Contains(got, "downloaded   big  67.1 MB") || !strings.HasSuffix(got, "big (once, by 127.0.0.1)\n") {
		t.Errorf("output %s", got)
	}
}

// TestShareRefusesUpgrade sends SIGUSR2 to a share, which cannot be upgraded: it says so and keeps serving.
func TestShareRefusesUpgrade(t *testing.T) {
	t.Parallel()
	s := startShare(t, harness.Tree(t, map[string]string{"a.txt": "text"}), "--bind", "127.0.0.1", "--port", "0")
	harness.Kill(t, s.PID(), syscall.SIGUSR2)
	s.awaitLine("! upgrade: share cannot be upgraded; restart the server instead")
	if status, body := fetch(t, s.url+"a.txt", ""); status != 200 || body != "text" {
		t.Errorf("%d %s, want 200 text", status, body)
	}
}

// TestShareByHTTPS shares over HTTPS with a self-signed certificate, whose fingerprint is printed.
func TestShareByHTTPS(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"a.txt": "text"})
	s := startShare(t, base, "--tls-self-signed", "--bind", "127.0.0.1", "--port", "0")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	r, err := client.Get(s.url + "a.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	s.awaitLine(`fingerprint [0-9A-F]{2}(:[0-9A-F]{2}){31}`)
	if body, err := io.ReadAll(r.Body); err != nil || string(body) != "text" || !strings.HasPrefix(s.url, "https://") ||
		!strings.Contains(strings.ReplaceAll(s.Out.String(), ":", ""), fmt.Sprintf("%X", sum)) {
		t.Errorf("body %q, error %v, output %s", body, err, s.Out)
	}
	s.awaitLine(`127\.0\.0\.1        downloaded   a\.txt  4 B`)
	plain := harness.Attempt(t, harness.Plan{Args: []string{"share", base, "--listen", "http://127.0.0.1:0", "--tls-self-signed"}})
	plain.Rejects(t, 64, "no HTTPS address")
}
