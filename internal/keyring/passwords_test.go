package keyring

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The hash of "right" by bcrypt, as htpasswd -B -C 4 writes it.
const hashed = ":$2y$04$vDwmXk6G6wQMhIUhoNikWOsGHGTfqtK4oZTHrjZOcSiWkwqKJNYO6\n"

func (r *ring) passwords() string {
	var all []string
	for _, p := range r.bundle().Passwords {
		all = append(all, filepath.Base(string(p.Name))+" "+strings.ReplaceAll(string(p.Text), hashed, ""))
	}
	return strings.Join(all, ",")
}

// Password files are read with or without certificates, and again when they change. A file
// is used as a whole or not at all. Passwords survive an upgrade.
func TestPasswords(t *testing.T) {
	dir := t.TempDir()
	a, b := dir+"/a", dir+"/b"
	write := func(path, text string) { writeFile(t, path, text) }
	write(a, "ann"+hashed)
	write(b, "bob"+hashed)
	settings := Settings{Passwords: []string{a, b}}
	r := newRing(t, settings, nil)
	expect := func(want string, changed bool) {
		t.Helper()
		if got := r.passwords(); got != want {
			t.Errorf("workers get %q, want %q", got, want)
		}
		r.hasChanged(changed)
	}
	expect("a ann,b bob", false)
	write(a, "carla"+hashed)
	r.polls()
	expect("a carla,b bob", true)
	write(b, "bob:hunter2\n")
	r.polls()
	expect("a carla,b bob", false)
	r.expectAlerts(b + ":1: the password of bob is not hashed; set it again with: htpasswd -B " + b + " bob; the current one stays in use")
	state := r.State()
	if loaded, err := state.Loaded(settings); err != nil || string(loaded.of(kindPasswords)[1].Chain) != "bob"+hashed || loaded.clientCA().Chain != nil {
		t.Errorf("after an upgrade: %v", err)
	}
	if state.clientCA() != nil {
		t.Error("passwords are taken for client CAs")
	}
	if _, err := Load(settings, r.now); err == nil {
		t.Error("an invalid file is accepted at the start")
	}
	write(b, "bob"+hashed)

	pair := files(t, issue(t, "a.test", start, 90*day))
	both := r.load(Settings{Pairs: []Pair{pair}, Passwords: []string{b, dir + "/a"}})
	if err := r.Use(both); err != nil {
		t.Fatal(err)
	}
	expect("b bob,a carla", true)
	c := dir + "/c"
	write(c, "dan"+hashed)
	next := r.load(Settings{Passwords: []string{c}})
	if err := r.Offer(next); err != nil {
		t.Fatal(err)
	}
	expect("b bob,a carla,c dan", true)
	if err := r.Use(next); err != nil {
		t.Fatal(err)
	}
	expect("c dan", true)
	if len(r.bundle().Certificates) != 0 {
		t.Error("the certificates are still published")
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
