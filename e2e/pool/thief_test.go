package pool

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
	"phalanx/internal/sandbox/thief"
)

// TestCompromisedWorker makes a worker attempt, during a request, everything that an intruder might try.
// Each attempt is refused, and the server continues.
func TestCompromisedWorker(t *testing.T) {
	t.Parallel()
	programs := harness.Tagged(t, "killpoints,thief") // so that no slot is quarantined
	harness.Each(t, []string{"epoll", "netpoll"}, func(t *testing.T, engine string) {
		top := harness.Tree(t, map[string]string{"site/index.html": "front", "site/file": "x", "secret": "key"})
		if err := os.Symlink("../secret", filepath.Join(top, "site", "link")); err != nil {
			t.Fatal(err)
		}
		s := harness.ServeAs(t, harness.Plan{
			Binary: filepath.Join(programs, "master"),
			Args: []string{
				"--base", filepath.Join(top, "site"), "-v", "--workers", "2", "--engine", engine, "--confine", "required",
				"--listen", "http://127.0.0.1:0", "--listen", "https://127.0.0.1:0", "--tls-self-signed", "--plain", "serve",
				"--access-log", filepath.Join(harness.OpenDir(t), "access.log"),
			},
		})
		tried := map[string]bool{}
		for _, a := range thief.All() {
			if engine == "epoll" || !tried[a.Kind] { // the sandbox is the same
				try(t, s, a)
			}
			tried[a.Kind] = true
		}
		s.MustServe("/", "front")
		if got, err := os.ReadFile(filepath.Join(top, "site", "file")); err != nil || string(got) != "x" {
			t.Errorf("the file is %q, error %v; want it unchanged", got, err)
		}
		names, err := os.ReadDir(filepath.Join(top, "site"))
		if err != nil || len(names) != 3 {
			t.Errorf("the document root has %v, error %v; want 3 files", names, err)
		}
		s.Stop(10 * time.Second)
	})
}

// try makes one of two workers attempt something.
func try(t *testing.T, s *harness.Server, a thief.Attempt) {
	t.Helper()
	workers := s.AwaitWorkers(2)
	deaths := strings.Count(s.Log.String(), "killed by SIGSYS")
	c := s.Dial()
	defer c.Close()
	target := fmt.Sprintf("/thief/%s/%d/%d/%d", a.Name, s.PID(), workers[0], workers[1])
	if err := c.Send(harness.Request("GET", target, "Connection: close")); err != nil {
		t.Fatalf("%s: %v", a.Name, err)
	}
	told := "thief " + a.Name + ": "
	s.Log.Await(t, 15*time.Second, "the outcome of "+a.Name, s.Exited, func([]harness.Event) bool {
		text := s.Log.String()
		return strings.Contains(text, told) || strings.Count(text, "killed by SIGSYS") > deaths
	})
	text := s.Log.String()
	refused, ended := strings.Contains(text, told+"refused: "), strings.Count(text, "killed by SIGSYS") > deaths
	if refused == a.Ends || ended != a.Ends {
		_, line, _ := strings.Cut(text, told)
		line, _, _ = strings.Cut(line, "\n")
		t.Errorf("%s: refused %v, killed %v, want killed %v: %s", a.Name, refused, ended, a.Ends, line)
	}
	survivors := s.AwaitWorkers(2)
	for _, pid := range workers {
		if !slices.Contains(survivors, pid) && !a.Ends {
			t.Errorf("%s: worker %d has exited", a.Name, pid)
		}
	}
	if a.Ends && !slices.Contains(survivors, workers[0]) && !slices.Contains(survivors, workers[1]) {
		t.Errorf("%s: the other worker has died too", a.Name)
	}
	s.MustServe("/", "front")
}

// TestCompromisedMarkdownRenderer makes the process that renders READMEs try the same, leaving out most
// attempts that end a process. If it is killed, the listing shows the README as plain text.
func TestCompromisedMarkdownRenderer(t *testing.T) {
	t.Parallel()
	top := harness.Tree(t, map[string]string{"site/file": "x", "secret": "key"})
	site := filepath.Join(top, "site")
	if err := os.Symlink("../secret", filepath.Join(site, "link")); err != nil {
		t.Fatal(err)
	}
	s := harness.ServeAs(t, harness.Plan{
		Binary: filepath.Join(harness.Tagged(t, "killpoints,thief"), "master"), Args: append(harness.Verbosely(site), "--workers", "1", "--list"),
	})
	worker := s.Workers()[0]
	tried := map[string]bool{}
	for _, a := range thief.All() {
		if a.Ends && tried[a.Kind] {
			continue // the sandbox is the same as a worker's
		}
		tried[a.Kind] = true
		dir := filepath.Join(site, a.Name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		asked := fmt.Sprintf("thief %s %d %d %s", a.Name, s.PID(), worker, site)
		harness.Write(t, filepath.Join(dir, "README.md"), []byte(asked+"\n"))
		body := page(t, s.URL("/"+a.Name+"/"))
		if refused := strings.Contains(body, "outcome: refused"); refused == a.Ends || a.Ends && !strings.Contains(body, asked) {
			_, body, _ = strings.Cut(body, "</table>")
			t.Errorf("%s: refused %v, want killed %v: %s", a.Name, refused, a.Ends, body)
		}
	}
	if s.Workers()[0] != worker {
		t.Error("the worker has exited")
	}
	if got, err := os.ReadFile(filepath.Join(site, "file")); err != nil || string(got) != "x" {
		t.Errorf("the file is %q, error %v; want it unchanged", got, err)
	}
	s.Stop(10 * time.Second)
}

// page fetches a page of unknown length.
func page(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", url, r.Status, err)
	}
	return string(body)
}
