package accesslog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openAsRoot opens a file as root would.
func openAsRoot(t *testing.T, path string) error {
	t.Helper()
	fd, err := openGuarded(path, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o640)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// shared creates a directory to which every user may write.
func shared(t *testing.T, dir string) string {
	t.Helper()
	noError(t, os.MkdirAll(dir, 0o755))
	if err := os.Chmod(dir, 0o777); err != nil { // not less the umask
		t.Fatal(err)
	}
	return dir
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A user who may write to the directory of the log cannot make root write elsewhere.
func TestGuardedOpen(t *testing.T) {
	dir := t.TempDir()
	logs, victim, secret := shared(t, dir+"/logs"), dir+"/victim", dir+"/secret"
	noError(t, os.WriteFile(secret, nil, 0o600))
	noError(t, os.Symlink(victim, logs+"/link"))
	noError(t, os.Symlink(dir, logs+"/sub"))
	noError(t, os.Link(secret, logs+"/second"))
	for path, want := range map[string]string{
		"link":       `"link" is a symbolic link, and `,
		"sub/victim": `"sub" is a symbolic link, and `,
		"second":     "the file has more than one hard link, and ",
	} {
		if err := openAsRoot(t, logs+"/"+path); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), " may write to directory \""+logs+"\"") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Lstat(victim); err == nil {
		t.Error("the target of the link was created")
	}
	r, pipe, err := os.Pipe() // as /dev/stdout in a container leads to one
	noError(t, err)
	defer r.Close()
	defer pipe.Close()
	t.Chdir(logs)
	for _, path := range []string{logs + "/access.log", "access.log", "../logs/new.log", fmt.Sprintf("/proc/self/fd/%d", pipe.Fd()), "/dev/null"} {
		if err := openAsRoot(t, path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"", "none/a", "access.log/a", "/none/../a"} {
		if err := openAsRoot(t, path); err != unix.ENOENT && err != unix.ENOTDIR {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// In directories that only root can write to, links are followed, one after the other.
func TestGuardedOpenFollows(t *testing.T) {
	dir := t.TempDir()
	noError(t, os.Mkdir(dir+"/real", 0o755))
	noError(t, os.Symlink("real", dir+"/sub"))
	noError(t, os.Symlink("../sub/file", dir+"/real/link"))
	noError(t, os.Symlink("loop", dir+"/loop"))
	own := os.Geteuid() == 0
	if err := openAsRoot(t, dir+"/sub/link"); (err == nil) != own {
		t.Errorf("links of user %d: %v", os.Geteuid(), err)
	}
	if _, err := os.Stat(dir + "/real/file"); (err == nil) != own {
		t.Errorf("the target of the links: %v", err)
	}
	if err := openAsRoot(t, dir+"/loop"); own && err != unix.ELOOP || err == nil {
		t.Errorf("a loop: %v", err)
	}
}

// A link that replaces the log before it is reopened is not followed by root either: the
// log continues in the old file.
func TestReopenGuarded(t *testing.T) {
	dir := t.TempDir()
	logs := shared(t, dir+"/logs")
	path, victim := filepath.Join(logs, "access.log"), dir+"/victim"
	w := open(t, path, Config{})
	noError(t, os.Rename(path, path+".1"))
	noError(t, os.Symlink(victim, path))
	root := os.Geteuid() == 0
	if err := w.reopen(); (err != nil) != root {
		t.Errorf("user %d: %v", os.Geteuid(), err)
	}
	if _, err := os.Lstat(victim); (err != nil) != root {
		t.Errorf("the target of the link: %v", err)
	}
}
