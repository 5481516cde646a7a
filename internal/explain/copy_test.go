package explain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// The report on compressed copies matches what a worker would find.
func TestExplainCopies(t *testing.T) {
	base, cache := t.TempDir(), t.TempDir()
	if err := os.WriteFile(base+"/a.html", []byte(strings.Repeat("a", 5000)), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, err := unix.Open(cache, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	report := func(at time.Time) string {
		t.Helper()
		o := options.Options{Base: options.Base(base), Index: []options.Name{"index.html"}}
		sites, err := website.OpenSites(o)
		if err != nil {
			t.Fatal(err)
		}
		defer sites.Close()
		root := sites.First()
		root.Copies, root.Now = site.NewCopies(dir, nil), func() time.Time { return at }
		cfg := website.Config(o)
		sites.Configure(&cfg, website.Uncached)
		return reportOf(t, cfg, sites.Roots, asking(t, "GET", "/a.html", "Accept-Encoding: br, gzip"), at).String()
	}
	says := func(at time.Time, want string) {
		t.Helper()
		if text := strings.Join(strings.Fields(report(at)), " "); !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	later := time.Now().Add(time.Hour)
	says(time.Now(), "changed within two seconds")
	says(later, "makes one in br once the file has been requested")
	var st unix.Stat_t
	if err := unix.Stat(base+"/a.html", &st); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(cache, site.CopyName(&st, proto.Brotli))
	for content, want := range map[string]string{"": "compresses by less than 5 percent", "short": "but a br copy in --cache-dir"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		says(later, want)
	}
	if err := os.WriteFile(name, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	says(later, "Content-Encoding: br the compressed copy that is sent is in this coding")
	says(later, "5 bytes of the compressed copy in --cache-dir from offset 0")
}
