package http

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// release is a version of a file. Its letter fills the file, and every version has its own size and
// modification time.
type release struct {
	letter byte
	size   int
	at     time.Time
}

// releases returns the versions of a file whose first version has the given size.
func releases(least int) []release {
	var all []release
	for i := range 4 {
		all = append(all, release{'a' + byte(i), least + i*1009, harness.Modified().Add(time.Duration(i) * time.Hour)})
	}
	return all
}

// put replaces the file at path by the version with rename(2).
func (r release) put(path string) error {
	next := path + ".next"
	if err := os.WriteFile(next, bytes.Repeat([]byte{r.letter}, r.size), 0o644); err != nil {
		return err
	}
	if err := os.Chtimes(next, r.at, r.at); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// deploy is a site that changes all the time, and what clients have received from it.
type deploy struct {
	*harness.Server
	dir   string
	sizes map[string]int // size of the first version of each file

	mu   sync.Mutex
	tags map[string]string // version by entity tag
	seen map[string]int    // responses by version
}

// TestDeployByRename replaces files with rename(2) while they are downloaded: no response mixes two
// versions, and soon after the last change only the last version is served.
func TestDeployByRename(t *testing.T) {
	t.Parallel()
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		d := &deploy{dir: harness.MemoryDir(t), sizes: map[string]int{"small.txt": 500, "middle.txt": 40_000, "large.bin": 600_000}, tags: map[string]string{}, seen: map[string]int{}}
		for file, least := range d.sizes {
			if err := releases(least)[0].put(filepath.Join(d.dir, file)); err != nil {
				t.Fatal(err)
			}
		}
		d.Server = harness.ServeSilently(t, harness.Plan{Args: []string{"--base", d.dir, "--model", model}})
		stop := make(chan struct{})
		var work sync.WaitGroup
		for file := range d.sizes {
			work.Go(func() { d.change(file, stop) })
			work.Go(func() { d.watch(file, stop) })
		}
		began := time.Now()
		whole := harness.Holds(5*time.Second, func() bool { return d.sawAll() && time.Since(began) > 1500*time.Millisecond })
		close(stop)
		work.Wait()
		if !whole {
			t.Error("not every version of each file was served")
		}
		t.Logf("%d versions with %d entity tags: %v", len(d.seen), len(d.tags), d.seen)
		d.settles()
	})
}

// sawAll reports whether each version of each file has been served.
func (d *deploy) sawAll() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for file, least := range d.sizes {
		for _, r := range releases(least) {
			if d.seen[file+string(r.letter)] == 0 {
				return false
			}
		}
	}
	return true
}

// change installs one version after the other, and the first one last.
func (d *deploy) change(file string, stop <-chan struct{}) {
	all := releases(d.sizes[file])
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i, going := 0, true; going; i++ {
		select {
		case <-tick.C:
		case <-stop:
			i, going = 0, false
		}
		if err := all[i%len(all)].put(filepath.Join(d.dir, file)); err != nil {
			d.T.Error(err)
			return
		}
	}
}

// watch requests a file whole, in ranges and conditionally, again and again.
func (d *deploy) watch(file string, stop <-chan struct{}) {
	c := &harness.Asker{Port: d.Port}
	defer c.Close()
	last := `"none"`
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		var fields []string
		switch i % 4 {
		case 1:
			fields = []string{"Range: bytes=100-299"}
		case 2:
			fields = []string{"Range: bytes=-10", "If-Range: " + last}
		case 3:
			fields = []string{"If-None-Match: " + last}
		}
		r, err := c.Fetch(harness.Request("GET", "/"+file, fields...))
		if err != nil {
			d.T.Errorf("%s %v: %v", file, fields, err)
			return
		}
		if err := d.checkResponse(file, last, r); err != nil {
			d.T.Errorf("%s %v: %d %v: %v", file, fields, r.Status, r.Header, err)
			return
		}
		last = r.Header.Get("ETag")
	}
}

// checkResponse checks that all parts of a response are of the same version.
func (d *deploy) checkResponse(file, asked string, r *harness.Reply) error {
	at, err := time.Parse(http.TimeFormat, r.Header.Get("Last-Modified"))
	if err != nil {
		return err
	}
	hours := int(at.Sub(harness.Modified()) / time.Hour)
	all := releases(d.sizes[file])
	if hours < 0 || hours >= len(all) {
		return fmt.Errorf("the Last-Modified is that of no version")
	}
	v := all[hours]
	size := v.size
	switch r.Status {
	case 200:
	case 206:
		_, total, _ := strings.Cut(r.Header.Get("Content-Range"), "/")
		if size, err = strconv.Atoi(total); err != nil {
			return err
		}
	case 304:
		if r.Header.Get("ETag") != asked {
			return fmt.Errorf("the entity tag is not %s, which the request has", asked)
		}
	default:
		return fmt.Errorf("unexpected status")
	}
	if n := len(r.Body); r.Status == 200 && n != size || size != v.size {
		return fmt.Errorf("%d bytes with the Last-Modified of version %c, which has %d bytes", n, v.letter, v.size)
	}
	if other := bytes.Trim(r.Body, string(v.letter)); len(other) > 0 {
		return fmt.Errorf("content of version %c with the Last-Modified of %c", other[0], v.letter)
	}
	return d.note(file, v, r.Header.Get("ETag"))
}

// note checks that an entity tag was never used for another version.
func (d *deploy) note(file string, v release, tag string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	version := file + string(v.letter)
	d.seen[version]++
	if known, ok := d.tags[tag]; tag == "" || ok && known != version {
		return fmt.Errorf("the entity tag is empty or that of version %q", known)
	}
	d.tags[tag] = version
	return nil
}

// responses returns the number of versions that have been served.
func (d *deploy) responses() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen)
}

// settles waits until every worker serves the last version.
func (d *deploy) settles() {
	d.T.Helper()
	harness.Await(d.T, 3*time.Second, "the last version everywhere", func() bool {
		for file, least := range d.sizes {
			v := releases(least)[0]
			for range 4 {
				r, err := harness.Exchange(d.Port, harness.Request("GET", "/"+file, "Connection: close"))
				if err != nil || len(r.Body) != v.size || r.Body[0] != v.letter {
					return false
				}
			}
		}
		return true
	})
}

// TestDeployBySymlink deploys releases by renaming a symbolic link. The releases are old enough for a
// worker to cache.
func TestDeployBySymlink(t *testing.T) {
	t.Parallel()
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		dir := harness.MemoryDir(t)
		for _, r := range releases(2000) {
			path := filepath.Join(dir, "releases", string(r.letter), "app.txt")
			harness.Write(t, path, nil)
			if err := r.put(path); err != nil {
				t.Fatal(err)
			}
		}
		put := time.Now()
		pointLink(t, dir, releases(2000)[1])
		d := &deploy{dir: dir, sizes: map[string]int{"current/app.txt": 2000}, tags: map[string]string{}, seen: map[string]int{}}
		d.Server = harness.ServeSilently(t, harness.Plan{Args: []string{"--base", dir, "--model", model}})
		harness.Await(t, 5*time.Second, "releases old enough to cache", func() bool { return time.Since(put) > 2200*time.Millisecond })
		stop := make(chan struct{})
		var work sync.WaitGroup
		work.Go(func() { d.switches(stop) })
		work.Go(func() { d.watch("current/app.txt", stop) })
		began := time.Now()
		served := harness.Holds(5*time.Second, func() bool { return d.responses() > 0 && time.Since(began) > 1200*time.Millisecond })
		close(stop)
		work.Wait()
		if !served {
			t.Error("no response was received")
		}
		pointLink(t, dir, releases(2000)[0])
		d.settles()
	})
}

// pointLink points the link to a release.
func pointLink(t *testing.T, dir string, r release) {
	t.Helper()
	swapLink(t, filepath.Join(dir, "current"), filepath.Join("releases", string(r.letter)))
}

// switches points the link to one release after the other.
func (d *deploy) switches(stop <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
			pointLink(d.T, d.dir, releases(2000)[i%4])
		}
	}
}

// TestFileCache changes a file that is in the worker's cache: the worker serves the old version for
// as long as --file-cache says, or checks the file for each request.
func TestFileCache(t *testing.T) {
	t.Parallel()
	for age, want := range map[string]byte{"1h": 'a', "0s": 'b'} {
		t.Run(age, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(harness.MemoryDir(t), "page.txt")
			all := releases(100)
			if err := all[0].put(file); err != nil {
				t.Fatal(err)
			}
			s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", filepath.Dir(file), "--workers", "1", "--file-cache", age}})
			// A file that was changed a moment ago is checked for each request, whatever the flag says.
			written := time.Now()
			harness.Await(t, 5*time.Second, "a file old enough to cache", func() bool { return time.Since(written) > 2100*time.Millisecond })
			if r := s.MustGet("/page.txt"); r.Body[0] != 'a' {
				t.Fatalf("version %c at first, want a", r.Body[0])
			}
			if err := all[1].put(file); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if r := s.MustGet("/page.txt"); r.Body[0] != want {
					t.Errorf("version %c after the change, want %c", r.Body[0], want)
				}
			}
		})
	}
}
