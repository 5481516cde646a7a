package http

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

// compressibleText returns compressible text of the given size, different for each seed.
func compressibleText(seed, size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "Line %d of %d says %d. ", i, seed, i*seed%9973)
	}
	return b.String()[:size]
}

// copying starts a server that compresses in the background, and returns its cache directory.
func copying(t *testing.T, base string, args ...string) (o *harness.Operator, cache string) {
	t.Helper()
	cache = filepath.Join(harness.OpenDir(t), "cache")
	return harness.Operated(t, harness.Plan{Args: append([]string{"--base", base, "--compress", "--cache-dir", cache}, args...)}), cache
}

// get requests a path in a content coding.
func get(o *harness.Operator, path, coding string, fields ...string) *harness.Reply {
	o.T.Helper()
	return o.MustAsk(o.Dial(), harness.Request("GET", path, append(fields, "Accept-Encoding: "+coding, "Connection: close")...))
}

// awaitCopy requests a path until the response is compressed. Every response has to decode to the
// file's content.
func awaitCopy(o *harness.Operator, path, coding, content string) (r *harness.Reply) {
	o.T.Helper()
	harness.Await(o.T, 20*time.Second, "a compressed copy of "+path, func() bool {
		harness.RaisePriority(o.PID())
		r = get(o, path, coding)
		is := r.Header.Get("Content-Encoding")
		if got := decoded(o.T, is, r.Body); r.Status != 200 || got != content {
			o.T.Fatalf("%s: %d, coding %q, %.40q, want %.40q", path, r.Status, is, got, content)
		}
		return is == coding
	})
	return r
}

// TestCompressedCopies checks that each model sends compressed copies with validators of their own, and
// none of a file's old content after the file changes.
func TestCompressedCopies(t *testing.T) {
	t.Parallel()
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		first, second := compressibleText(1, 40000), compressibleText(2, 40000)
		base := harness.Tree(t, map[string]string{"a.html": first, "noise.html": string(harness.Noise("noise", 5000)), "small.html": "small"})
		path := filepath.Join(base, "a.html")
		harness.Aged(t, path)
		o, _ := copying(t, base, "--model", model, "--file-cache", "0s")
		plain := get(o, "/a.html", "br")
		if plain.Header.Get("Content-Encoding") != "" || string(plain.Body) != first || plain.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("before there is a copy: header %v; want the file, with Vary: Accept-Encoding", plain.Header)
		}
		whole := awaitCopy(o, "/a.html", "br", first)
		checkCopy(o, "/a.html", plain, whole)
		for _, same := range []string{"/noise.html", "/small.html"} {
			if r := get(o, same, "br"); r.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s: %v, want no Content-Encoding", same, r.Header)
			}
		}
		harness.Await(t, 5*time.Second, "a count of the copies sent", func() bool { return o.MustScrape().Sum("phalanx_compressed_responses_total") >= 1 })
		// The new content has the size and modification time of the old one.
		harness.Write(t, path+".new", []byte(second))
		harness.Aged(t, path+".new")
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		awaitCopy(o, "/a.html", "br", second)
	})
}

// checkCopy compares a compressed copy's responses with those of its file.
func checkCopy(o *harness.Operator, path string, plain, whole *harness.Reply) {
	o.T.Helper()
	tag := whole.Header.Get("ETag")
	if !strings.HasPrefix(tag, `"`) || tag == plain.Header.Get("ETag") || whole.Header.Get("Vary") != "Accept-Encoding" ||
		whole.Header.Get("Last-Modified") != plain.Header.Get("Last-Modified") || whole.Header.Get("Content-Type") != plain.Header.Get("Content-Type") {
		o.T.Errorf("header of the copy: %v; header of its file: %v", whole.Header, plain.Header)
	}
	part := get(o, path, "br", "Range: bytes=5-14", "If-Range: "+tag)
	if part.Status != 206 || !bytes.Equal(part.Body, whole.Body[5:15]) || part.Header.Get("Content-Encoding") != "br" {
		o.T.Errorf("a range of the copy: %d, %v", part.Status, part.Header)
	}
	for fields, want := range map[string]int{"If-None-Match: " + tag: 304, "If-None-Match: " + plain.Header.Get("ETag"): 200} {
		if r := get(o, path, "br", fields); r.Status != want || r.Header.Get("Vary") != "Accept-Encoding" {
			o.T.Errorf("%s: %d %v, want %d", fields, r.Status, r.Header, want)
		}
	}
	head := o.MustAsk(o.Dial(), harness.Request("HEAD", path, "Accept-Encoding: br", "Connection: close"))
	if head.Header.Get("ETag") != tag || head.Header.Get("Content-Length") != fmt.Sprint(len(whole.Body)) {
		o.T.Errorf("HEAD of the copy: %v", head.Header)
	}
	if r := get(o, path, "identity"); r.Header.Get("Content-Encoding") != "" || r.Header.Get("ETag") == tag {
		o.T.Errorf("without a coding in Accept-Encoding: %v", r.Header)
	}
}

// TestCompressionHelper kills the helper process, upgrades the master and stops it: no client notices,
// and no helper is left.
func TestCompressionHelper(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 100 {
		files[fmt.Sprintf("%d.html", i)] = compressibleText(i+1, 9000)
	}
	base := harness.Tree(t, files)
	o, cache := copying(t, base)
	var helpers []int
	harness.Await(t, 10*time.Second, "one helper with SCHED_IDLE", func() bool {
		get(o, "/0.html", "gzip")
		helpers = harness.HelpersOf(o.PID())
		return len(helpers) == 1 && isIdle(helpers[0])
	})
	harness.Await(t, 10*time.Second, "the helper's sandbox", func() bool {
		harness.RaisePriority(o.PID())
		return isSandboxed(helpers[0])
	})
	awaitCopy(o, "/0.html", "gzip", files["0.html"])
	abandoned := begun(t, cache)
	harness.Kill(t, helpers[0], syscall.SIGKILL)
	harness.Await(t, 10*time.Second, "a count of the helper's death", func() bool { return o.MustScrape()["phalanx_helper_deaths_total"] == 1 })
	o.AwaitText(fmt.Sprintf("helper (pid %d) died", helpers[0]))
	awaitCopy(o, "/0.html", "gzip", files["0.html"]) // the copy was already in the cache
	next := 0
	harness.Await(t, 10*time.Second, "a new helper", func() bool { // a file requested before is not tried again soon
		next = min(next+1, len(files)-2)
		get(o, fmt.Sprintf("/%d.html", next), "br")
		return len(harness.HelpersOf(o.PID())) == 1
	})
	harness.Await(t, 10*time.Second, "the removal of the killed helper's unfinished file", func() bool {
		harness.RaisePriority(o.PID())
		_, err := os.Stat(abandoned)
		return os.IsNotExist(err)
	})
	last := fmt.Sprintf("%d.html", len(files)-1)
	awaitCopy(o, "/"+last, "gzip", files[last])
	before := o.AwaitWorkers(len(o.Workers()))
	o.Signal(syscall.SIGUSR2)
	o.AwaitWorkers(len(before), before...)
	awaitCopy(o, "/0.html", "br", files["0.html"])
	if all, err := os.ReadDir(cache); err != nil || len(all) < 3 {
		t.Errorf("the cache has %v, error %v; want at least 3 files", all, err)
	}
	if helpers = harness.HelpersOf(o.PID()); len(helpers) != 1 {
		t.Fatalf("helpers after the upgrade: %v, want one", helpers)
	}
	o.Stop(10 * time.Second)
	harness.AwaitEnd(t, 10*time.Second, helpers[0])
}

// begun creates a file in a cache directory as a killed helper leaves one, and returns its path.
func begun(t *testing.T, cache string) string {
	t.Helper()
	path := filepath.Join(cache, ".0123456789abcdef.801-1a-1388-6a0b-0-6a0b-1f.br")
	var owner unix.Stat_t
	if err := errors.Join(unix.Stat(cache, &owner), os.WriteFile(path, []byte("half"), 0o600), os.Chown(path, int(owner.Uid), int(owner.Gid))); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHelperOfAKilledMaster kills the master: its helper exits.
func TestHelperOfAKilledMaster(t *testing.T) {
	t.Parallel()
	files := map[string]string{"0.html": compressibleText(1, 9000)}
	o, _ := copying(t, harness.Tree(t, files))
	awaitCopy(o, "/0.html", "gzip", files["0.html"])
	helpers := harness.HelpersOf(o.PID())
	o.Signal(syscall.SIGKILL)
	for _, pid := range helpers {
		harness.AwaitEnd(t, 10*time.Second, pid)
	}
}

// isIdle reports whether a process runs with SCHED_IDLE.
func isIdle(pid int) bool {
	const schedIdle = 5
	attr, err := unix.SchedGetAttr(pid, 0)
	return err == nil && attr.Policy == schedIdle
}

// isSandboxed reports whether a process has a seccomp filter and no capabilities.
func isSandboxed(pid int) bool {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return bytes.Contains(status, []byte("Seccomp:\t2")) && bytes.Contains(status, []byte("CapEff:\t0000000000000000"))
}

// TestManyCompressedCopies compresses a site of 2,000 files while it is served, and checks the metrics.
func TestManyCompressedCopies(t *testing.T) {
	t.Parallel()
	const many, made = 2000, `phalanx_helper_jobs_total{outcome="made"}`
	files := make(map[string]string)
	for i := range many {
		files[fmt.Sprintf("%d/%d.html", i%20, i)] = compressibleText(i+1, 1500)
	}
	base := harness.Tree(t, files)
	o, _ := copying(t, base)
	left := make(map[string]string)
	for name, content := range files {
		left["/"+name] = content
	}
	c := &harness.Asker{Port: o.Port}
	defer c.Close()
	harness.Await(t, 40*time.Second, "compressed copies of all files", func() bool {
		harness.RaisePriority(o.PID())
		for path, content := range left {
			r, err := c.Fetch(harness.Request("GET", path, "Accept-Encoding: gzip"))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			coding := r.Header.Get("Content-Encoding")
			if got := decoded(t, coding, r.Body); r.Status != 200 || got != content {
				t.Fatalf("%s: %d, coding %q, %.40q", path, r.Status, coding, got)
			}
			if coding == "gzip" {
				delete(left, path)
			}
		}
		return len(left) == 0
	})
	all := o.MustScrape()
	counted := harness.Holds(5*time.Second, func() bool { // the last copies are counted after they are served
		all = o.MustScrape()
		return all[made] == many && all["phalanx_helper_jobs_waiting"] == 0 &&
			all["phalanx_compressed_source_bytes_total"] == many*1500 && all.Sum("phalanx_compressed_responses_total") == many &&
			all["phalanx_compressed_bytes_total"] < many*1500/2 && all["phalanx_compressed_cache_bytes"] >= all["phalanx_compressed_bytes_total"]
	})
	if !counted {
		t.Errorf("metrics: %v made, %v waiting, %v compressed bytes of %v, %v responses, %v bytes cached", all[made], all["phalanx_helper_jobs_waiting"],
			all["phalanx_compressed_bytes_total"], all["phalanx_compressed_source_bytes_total"], all.Sum("phalanx_compressed_responses_total"), all["phalanx_compressed_cache_bytes"])
	}
}

// TestCacheDirReplaced removes and replaces the cache directory, and reloads: files are compressed again.
func TestCacheDirReplaced(t *testing.T) {
	t.Parallel()
	first, second := compressibleText(1, 40000), compressibleText(2, 40000)
	base := harness.Tree(t, map[string]string{"a.html": first, "b.html": second})
	o, cache := copying(t, base)
	awaitCopy(o, "/a.html", "br", first)
	for _, remove := range []func() error{
		func() error { return os.RemoveAll(cache) },
		func() error { return os.Rename(cache, cache+".old") },
	} {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		o.Order("reload")
		awaitCopy(o, "/a.html", "br", first)
		awaitCopy(o, "/b.html", "br", second)
	}
}

// TestUnusableCacheDir refuses to start with a cache directory in a document root, writable by others, or
// not a directory.
func TestUnusableCacheDir(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "Hello."})
	open := harness.OpenDir(t)
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		filepath.Join(base, "cache"): "lies in a document root",
		open:                         "to user",
		filepath.Join(harness.Binary("master"), "sub"): "not a directory",
	} {
		harness.Attempt(t, harness.Plan{Args: []string{"--base", base, "--port", "0", "--compress", "--cache-dir", dir}}).Rejects(t, 78, "--cache-dir", want)
	}
	harness.Attempt(t, harness.Plan{Args: []string{"--base", base, "--port", "0", "--compress"}}).Rejects(t, 64, "needs --cache-dir")
}
