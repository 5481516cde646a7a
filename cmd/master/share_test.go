package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// A share ends when the wall clock says so, though timers stand still while the machine is suspended.
func TestShareEndsAfterSuspension(t *testing.T) {
	now := time.Unix(1e9, 0)
	until, calls := now.Add(time.Hour), 0
	woken := func() time.Time {
		if calls++; calls > 1 {
			return until
		}
		return now
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !waitUntil(ctx, until, woken) {
		t.Error("it goes on after its end")
	}
	cancel()
	if waitUntil(ctx, until, func() time.Time { return now }) {
		t.Error("it ends an hour early")
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
