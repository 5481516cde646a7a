package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/internal/options"
)

// --no-rules helps only against an error in a file, and is named only there.
func TestCureOfRules(t *testing.T) {
	base := t.TempDir()
	loop := []options.Redirect{"/a /b", "/b /a"}
	refused := func(o options.Options) string {
		t.Helper()
		o.Base = options.Base(base)
		sites, err := openSites(o)
		if err == nil {
			sites.Close()
			t.Fatal("the rules are accepted")
		}
		return err.Error()
	}
	if got := refused(options.Options{Redirect: loop}); !strings.HasSuffix(got, "; correct it") {
		t.Error(got)
	}
	if err := os.WriteFile(filepath.Join(base, "_redirects"), []byte("/a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := refused(options.Options{}); !strings.HasSuffix(got, "; correct it, or ignore it with --no-rules") {
		t.Error(got)
	}
	if err := os.WriteFile(filepath.Join(base, "_headers"), []byte("/a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := refused(options.Options{}); !strings.HasPrefix(got, "_redirects:1: ") || !strings.Contains(got, "\n_headers:1: ") || !strings.HasSuffix(got, "\ncorrect all of these, or ignore them with --no-rules") {
		t.Error(got)
	}
}
