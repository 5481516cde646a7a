package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phalanx/internal/exitcode"
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

// A signal to stop ends a start whose options cannot be read; in any other case none is lost.
func TestSignalsBeforeOptions(t *testing.T) {
	for _, tt := range []struct {
		name     string
		takes    time.Duration // to read the options
		upgraded bool
		sent     []os.Signal
		code     int
	}{
		{"read at once", 0, false, nil, 0},
		{"read in time", patience / 2, false, []os.Signal{syscall.SIGHUP, syscall.SIGTERM}, 0},
		{"read late", 2 * patience, false, []os.Signal{syscall.SIGINT}, exitcode.Forced},
		{"another signal", 2 * patience, false, []os.Signal{syscall.SIGHUP, syscall.SIGUSR1}, 0},
		{"after an upgrade", 2 * patience, true, []os.Signal{syscall.SIGTERM}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			signals := make(chan os.Signal, 2)
			for _, sig := range tt.sent {
				signals <- sig
			}
			read := func() (options.Options, string, error) {
				time.Sleep(tt.takes)
				return options.Options{Port: 81}, "worker", nil
			}
			o, worker, err := first(read, tt.upgraded, signals, func(sig os.Signal) { signals <- sig })
			time.Sleep(tt.takes) // until read has ended
			var left []os.Signal
			for range len(signals) {
				left = append(left, <-signals)
			}
			switch {
			case exitcode.Code(err) != tt.code:
				t.Errorf("%s: %v", tt.name, err)
			case tt.code == 0 && (o.Port != 81 || worker != "worker" || !slices.Equal(left, tt.sent)):
				t.Errorf("%s: port %d, worker %s, signals %v", tt.name, o.Port, worker, left)
			}
		})
	}
}
