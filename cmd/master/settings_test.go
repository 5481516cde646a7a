package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/internal/listen"
	"phalanx/internal/options"
)

// Options that the server's addresses do not allow are refused at a reload and an upgrade, as they are
// at a start: the new program of an upgrade could not start with them.
func TestRereadChecksHTTPS(t *testing.T) {
	parse := func(args string) options.Options {
		t.Helper()
		o, err := options.Start{Name: "master", Args: strings.Fields(args), Getenv: func(string) string { return "" }}.Options()
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for _, tt := range []struct {
		args   string
		secure bool
		want   string // how the error begins; empty: there is none
	}{
		{"--expires 1h", false, ""},
		{"--tls-self-signed", true, ""},
		{"--tls-self-signed", false, "--tls-self-signed: no HTTPS address"},
		{"--hsts 1h", false, "--hsts: "},
		{"--plain serve", false, "--plain serve: "},
		{"--expires 1h", true, "https: no certificate"},
	} {
		read := func() (options.Options, string, error) { return parse(tt.args), "worker", nil }
		_, _, err := reread(read, parse(""), []listen.Address{{Port: 8080, Secure: tt.secure}})
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s, HTTPS %v: %v, want %q", tt.args, tt.secure, err, tt.want)
		}
	}
}

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

// After an upgrade no signal ends a program whose options take long to read: workers serve.
func TestSettingsAfterUpgrade(t *testing.T) {
	read := func() (options.Options, string, error) { return options.Options{Port: 81}, "worker", nil }
	if o, worker, err := firstSettings(read, true, nil); o.Port != 81 || worker != "worker" || err != nil {
		t.Errorf("port %d, worker %s, %v", o.Port, worker, err)
	}
}
