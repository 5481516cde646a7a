package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A renderer that answers nonsense, too much or nothing is not asked again.
func TestRendererThatFails(t *testing.T) {
	for name, script := range map[string]string{
		"ends":     "exit 1",
		"nonsense": `printf '\377\377\377\377'; cat >/dev/null`,
		"short":    `printf '\000\000\000\011abc'`,
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		r, err := startRenderer(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if html, err := r.html([]byte("# a")); err == nil {
				t.Errorf("%s: %q", name, html)
			}
		}
		r.stop()
	}
	if _, err := startRenderer("/no/such/program"); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestRenderer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cat")
	if err := os.WriteFile(path, []byte("#!/bin/sh\ntest $1 = readme && exec cat\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := startRenderer(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	for _, text := range []string{"# a", "", "b"} {
		if html, err := r.html([]byte(text)); err != nil || string(html) != text {
			t.Errorf("%q, %v, want %q", html, err, text)
		}
	}
}
