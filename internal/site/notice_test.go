package site

import (
	"os"
	"strings"
	"testing"
	"time"
)

// instances returns the number of this process's inotify instances.
func instances(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.Contains(to, "inotify") {
			n++
		}
	}
	return n
}

// Several roots are notified of their own changes through one inotify instance, also if they are
// the same directory. The instance is closed with the last of them.
func TestNotices(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	dirs = append(dirs, dirs[0])
	var roots []*Root
	var told []chan error
	var stops []func()
	for i, dir := range dirs {
		r := openWith(t, dir, Policy{Rules: true})
		if i > 0 {
			r.ShareBounds(roots[0])
		}
		if err := r.ReadRules(nil); err != nil {
			t.Fatal(err)
		}
		c := make(chan error, 100) // more than the test can cause
		roots, told = append(roots, r), append(told, c)
		stops = append(stops, r.WatchRules(func(err error) { c <- err }))
	}
	if n := instances(t); n != 1 {
		t.Errorf("%d instances for 3 roots", n)
	}
	next := func(i int) {
		t.Helper()
		select {
		case err := <-told[i]:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("root %d was not notified", i)
		}
	}
	plant(t, dirs[0], "_redirects: /a /one")
	next(0)
	next(2)
	stops[0]()
	plant(t, dirs[0], "_redirects: /a /two")
	plant(t, dirs[1], "_redirects: /a /three")
	next(1)
	next(2)
	for i, want := range []string{"/one", "/three", "/two"} {
		if got := found(roots[i], "/a"); got != want || len(told[i]) > 0 {
			t.Errorf("root %d has %q, want %q, and was notified %d more times", i, got, want, len(told[i]))
		}
	}
	stops[1]()
	if n := instances(t); n != 1 {
		t.Errorf("%d instances for 1 root", n)
	}
	stops[2]()
	if n := instances(t); n != 0 {
		t.Errorf("%d instances are left", n)
	}
}
