package main

import (
	"os"
	"path/filepath"
	"testing"

	"phalanx/internal/exitcode"
	"phalanx/internal/options"
)

// sharedFile returns a share of a file, with a program in place of the worker.
func sharedFile(t *testing.T) *sharing {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	worker, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &sharing{options: options.Options{Worker: options.File(worker)}}
	s.options.Shared.Paths = []string{path}
	return s
}

// Workers of a share change their user like those of a website.
func TestShareIdentity(t *testing.T) {
	s := sharedFile(t)
	s.options.User = "65534:65534"
	want, wantErr := identity(s.options) // an error unless this is root
	o, _, err := s.settings(nil)
	if wantErr == nil && want == "" || o.Identity != want || (err == nil) != (wantErr == nil) {
		t.Errorf("%q, %v; want %q, %v", o.Identity, err, want, wantErr)
	}
}

// A private key in use is not shared.
func TestSharePrivateKey(t *testing.T) {
	s := sharedFile(t)
	s.options.TLSCert = []options.File{options.File(s.options.Shared.Paths[0])}
	if _, _, err := s.settings(nil); exitcode.Code(err) != exitcode.Config {
		t.Error(err)
	}
}
