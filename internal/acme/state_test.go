package acme

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"phalanx/internal/acme/acmetest"
	"phalanx/internal/certificate"
	"phalanx/internal/exitcode"
)

// Only the user that runs the master can read the state, whatever the umask is.
func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "state")
	state, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	kept, err := state.store("https://ca.test:8443/a/directory")
	if err != nil {
		t.Fatal(err)
	}
	a, err := kept.account()
	if err != nil {
		t.Fatal(err)
	}
	src, err := certificate.SelfSigned([]string{"one.test"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(kept.saveAccount(a), kept.saveCertificate("one.test", src), kept.saveAttempts(nil)); err != nil {
		t.Fatal(err)
	}
	var files []string
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if info.IsDir() {
			want = 0o700
		} else {
			files = append(files, strings.TrimPrefix(path, dir+"/"))
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return nil
	})
	const inner = "acme/ca.test_8443_a_directory/"
	want := inner + "account.json " + inner + "account.key " + inner + "attempts.json " + inner + "certificates/one.test.pem lock"
	if got := strings.Join(files, " "); err != nil || got != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	got, err := kept.certificate("one.test")
	if err != nil || string(got.Key) != string(src.Key) || string(got.Chain) != string(src.Chain) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := kept.saveCertificate(strings.Repeat("a.", 122)+"a.test", src); err != nil {
		t.Errorf("the longest host: %v", err)
	}
	if _, err := newHeld("two.test", got, time.Now()); err == nil || !strings.Contains(err.Error(), "it is not valid for two.test") {
		t.Errorf("another host's certificate: %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	state, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenState(dir)
	if exitcode.Code(err) != exitcode.Failure || !strings.HasPrefix(err.Error(), "--state "+dir+": in use by another master (pid ") {
		t.Errorf("a second master: %v", err)
	}
	if err := TryState(dir); err != nil {
		t.Errorf("--check beside a running master: %v", err)
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	if state, err = OpenState(dir); err != nil {
		t.Fatal(err)
	}
	state.Close()
}

// A full disk does not keep a server from starting with the certificates that it has.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	state, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	state.Close()
}

func TestUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		file:                   "--state " + file + ": not a directory; choose a directory that this user can write to",
		"/proc/1/none":         "--state /proc/1/none: no such file or directory; choose a directory that this user can write to",
		filepath.Join("a\x00"): "--state a\x00: invalid argument; choose a directory that this user can write to",
	} {
		if _, err := OpenState(dir); exitcode.Code(err) != exitcode.Config || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// --check creates nothing, and finds the same errors as a start.
func TestTryState(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(TryState(filepath.Join(dir, "new", "state")), TryState(dir)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "state")} {
		if err := TryState(bad); exitcode.Code(err) != exitcode.Config || !strings.Contains(err.Error(), ": not a directory; choose") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// A key that no authority has issued is found before it is needed.
func TestReadBinding(t *testing.T) {
	file := filepath.Join(t.TempDir(), "eab")
	for text, want := range map[string]string{
		"kid-1 zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE=\n": "",
		"kid-1":                           "must have two words, the identifier and the key that the authority has issued",
		"kid-1 a+b/c":                     "the second word must be the key in base64url, as the authority has issued it",
		strings.Repeat("x", maxBinding+1): "larger than 16384 bytes",
		"zWNDZM6e kid:1\n":                "the second word must be the key in base64url, as the authority has issued it",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadBinding(file); (err == nil) != (want == "") || err != nil && err.Error() != "read "+file+": "+want {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ReadBinding("/dev/null"); err == nil || err.Error() != "read /dev/null: not a regular file" { // nor a pipe without a writer
		t.Error(err)
	}
}

// stored is setting for a client without an authority; it also returns where the client stores its files.
func stored(t *testing.T, hosts ...string) (Config, store, *workers) {
	t.Helper()
	w := &workers{seen: map[string]int{}, changed: make(chan struct{})}
	cfg := setting(t, &acmetest.Authority{Directory: "https://ca.test/"}, w, hosts...)
	kept, err := cfg.State.store(cfg.Directory)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, kept, w
}

// A damaged file loses a certificate at most. A damaged account key is an error: it is not
// replaced silently.
func TestDamaged(t *testing.T) {
	cfg, kept, w := stored(t, "one.test")
	for _, name := range []string{"attempts.json", "account.json", "certificates/one.test.pem"} {
		if err := kept.write(name, []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if list := c.Status().Hosts; list[0].Certified || list[0].Next.After(time.Now()) || len(w.lines) != 1 || !strings.HasSuffix(w.lines[0], `one.test.pem": no certificate in PEM form; ordering another`) {
		t.Errorf("%+v, %q", list, w.lines)
	}
	if err := kept.write("account.key", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err = New(cfg); exitcode.Code(err) != exitcode.Config || !strings.HasSuffix(err.Error(), "account.key: no private key in PEM form; restore it, or delete it for a new account") {
		t.Errorf("a damaged key: %v", err)
	}
}

// A new key for the account has none of the lost key's URL, which the authority would refuse,
// also if the program ends before the account is registered.
func TestAccountKeyLost(t *testing.T) {
	_, kept, _ := stored(t)
	a, err := kept.account()
	if err != nil {
		t.Fatal(err)
	}
	a.Location = "https://ca.test/account/1"
	if err := errors.Join(kept.saveAccount(a), os.Remove(filepath.Join(kept.dir, "account.key"))); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time as after a restart
		if a, err = kept.account(); err != nil || a.Location != "" {
			t.Errorf("%q, %v", a.Location, err)
		}
	}
}

// An expired certificate is not published: no client would accept it.
func TestExpiredIsNotPublished(t *testing.T) {
	cfg, kept, w := stored(t, "one.test", "two.test")
	for host, lifetime := range map[string]time.Duration{"one.test": -time.Minute, "two.test": time.Hour} {
		src, err := certificate.SelfSigned([]string{host}, time.Now(), lifetime)
		if err != nil {
			t.Fatal(err)
		}
		if err := kept.saveCertificate(host, src); err != nil {
			t.Fatal(err)
		}
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.hosts(); len(got) != 1 || got[0] != "two.test" {
		t.Errorf("published: %q", got)
	}
	if s := c.Status(); s.Hosts[0].Certified || !s.Hosts[1].Certified {
		t.Errorf("%+v", s.Hosts)
	}
	if h, at := c.next(); h.name != "one.test" || at.After(time.Now()) {
		t.Errorf("first due: %s, %v", h.name, at)
	}
}

// A clock that is behind at the start is reported, and the certificate is used: it is right for
// everybody else.
func TestClockBehind(t *testing.T) {
	cfg, kept, w := stored(t, "one.test")
	cfg.Now = func() time.Time { return calendar }
	src, err := certificate.SelfSigned([]string{"one.test"}, calendar.Add(25*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.saveCertificate("one.test", src); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	if len(w.hosts()) != 1 || len(w.lines) != 1 || w.lines[0] != "certificate for one.test is not valid before 2026-11-29T00:00:00Z; check the clock" {
		t.Errorf("published %q, lines %q", w.hosts(), w.lines)
	}
}

// runs runs a client until end.
func runs(t *testing.T, c *Client) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); c.Run(ctx) }()
	return func() { cancel(); <-ran }
}

// Certificates are published again each hour: publishing may have failed.
func TestPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _, _ := stored(t)
		published := 0
		cfg.Publish = func(Published) { published++ }
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		end := runs(t, c)
		time.Sleep(3*repeatTime + time.Minute)
		end()
		if published != 4 {
			t.Errorf("published %d times at the start and in three hours, want 4", published)
		}
	})
}

// A process that is stopped between two looks at the clock finds no host where there is none.
func TestStoppedWithoutHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, err := OpenState(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer state.Close()
		var looks atomic.Int64
		c, err := New(Config{
			State: state, Directory: "https://ca.test/", Publish: func(Published) {}, Inform: func(string) {},
			Now: func() time.Time { return time.Now().Add(time.Duration(min(looks.Add(1), 100)) * 2 * maxSleep) },
		})
		if err != nil {
			t.Fatal(err)
		}
		end := runs(t, c)
		time.Sleep(time.Second)
		end()
		if n := looks.Load(); n < 100 {
			t.Errorf("only %d looks at the clock", n)
		}
	})
}

// The clock is looked at every minute: timers stand still while the machine is suspended, but
// certificates expire.
func TestSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, err := OpenState(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer state.Close()
		published := 0
		var suspended atomic.Int64
		c, err := New(Config{
			State: state, Directory: "https://ca.test/", Publish: func(Published) { published++ }, Inform: func(string) {},
			Now: func() time.Time { return time.Now().Add(time.Duration(suspended.Load())) },
		})
		if err != nil {
			t.Fatal(err)
		}
		end := runs(t, c)
		time.Sleep(time.Second)
		suspended.Store(int64(repeatTime))
		time.Sleep(time.Minute)
		end()
		if published != 2 {
			t.Errorf("published %d times a minute after a suspension, want 2", published)
		}
	})
}
