package token

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const secret = "0123456789abcdef"

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		err  string
	}{
		"good":     {secret + "\n", 0o600, ""},
		"group":    {"  " + secret + "\r\n", 0o640, ""},
		"others":   {secret, 0o604, "it has mode 0604, so others can read or change it; run chmod 600 "},
		"writable": {secret, 0o620, "it has mode 0620"},
		"short":    {"abc", 0o600, "the token has 3 characters"},
		"empty":    {"", 0o600, "the token has 0 characters"},
		"words":    {secret + " " + secret, 0o600, "spaces"},
		"foreign":  {secret + "é", 0o600, "beyond ASCII"},
		"long":     {strings.Repeat("x", most+1), 0o600, "larger than 1024 bytes"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if c.err == "" && (err != nil || got != secret) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"fifo": "not a regular file", "none": "no such file"} {
		if _, err := Read(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFits(t *testing.T) {
	for field, want := range map[string]bool{
		"Bearer " + secret: true, "bearer  " + secret + " ": true, Token(secret).Field(): true,
		"": false, "Bearer": false, "Bearer ": false, "Basic " + secret: false, secret: false, "Bearer " + secret + "0": false, "Bearer " + secret[1:]: false,
	} {
		if got := Token(secret).Matches(field); got != want {
			t.Errorf("%q: %v", field, got)
		}
	}
	for _, field := range []string{"", "Bearer ", "Bearer"} {
		if Token("").Matches(field) {
			t.Errorf("without a token %q is accepted", field)
		}
	}
}
