package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// directories holds the directories of a test process. Every user can enter them.
type directories struct {
	programs string // master, worker and other executables
	memory   string // for document roots: on tmpfs, where it exists, sparse files cost nothing
}

// dirs is set by Main before the first test.
var dirs directories

// makeDirs creates dirs; remove deletes them.
func makeDirs() (remove func(), err error) {
	made := func(parent string) (dir string, err error) {
		if dir, err = os.MkdirTemp(parent, "phalanx-e2e-"); err == nil {
			err = os.Chmod(dir, 0o755)
		}
		return dir, err
	}
	remove = func() {
		os.RemoveAll(dirs.memory)
		os.RemoveAll(dirs.programs)
	}
	if dirs.programs, err = made(""); err != nil {
		return remove, err
	}
	if dirs.memory, err = made("/dev/shm"); err != nil {
		dirs.memory, err = dirs.programs, nil
	}
	return remove, err
}

// Binary returns the path of a program under test: "master" or "worker".
func Binary(name string) string { return filepath.Join(dirs.programs, name) }

// buildPrograms builds the programs under test as they are installed, or with the race
// detector, and copies them into a directory.
func buildPrograms(into string) error {
	root, err := root()
	if err != nil {
		return err
	}
	if *race {
		return buildIn(filepath.Join(root, "bin", "race"), into, "go", "build", "-race", "-o")
	}
	return buildIn(filepath.Join(root, "bin", "test"), into, "sh", filepath.Join(root, "scripts", "build.sh"))
}

// buildIn builds the programs in a shared directory, which is quick if they are up to
// date, and copies them. A lock makes packages that are tested at the same time take turns.
func buildIn(shared, into string, build ...string) error {
	if err := os.MkdirAll(shared, 0o755); err != nil {
		return err
	}
	lock, err := os.Open(shared)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", shared, err)
	}
	if err := run(append(build, shared+"/", "phalanx/cmd/master", "phalanx/cmd/worker")...); err != nil {
		return err
	}
	for _, name := range []string{"master", "worker"} {
		content, err := os.ReadFile(filepath.Join(shared, name))
		if err != nil {
			return err
		}
		if err := Install(filepath.Join(into, name), content, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func run(words ...string) error {
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, out)
	}
	return nil
}

// root returns the root directory of the module.
func root() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, none := os.Stat(filepath.Join(dir, "go.mod")); none == nil {
			return dir, nil
		}
	}
	return "", errors.Join(errors.New("no go.mod in any directory above the test's"), err)
}

// Tagged builds the programs under test with build tags, separated by commas, and returns
// their directory. Else they are as installed: sandboxed, and with a master that no signal
// kills at an upgrade.
func Tagged(t *testing.T, tags string) (dir string) {
	t.Helper()
	dir = OpenDir(t)
	root, err := root()
	if err == nil {
		shared := filepath.Join(root, "bin", strings.ReplaceAll(tags, ",", "-"))
		err = buildIn(shared, dir, "env", "TEST_TAGS="+tags, "sh", filepath.Join(root, "scripts", "build.sh"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Program builds the package testdata/name of a test, such as a special client
// or worker, and returns the path of the executable.
func Program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(OpenDir(t), name)
	if err := run("go", "build", "-o", path, "./testdata/"+name); err != nil {
		t.Fatal(err)
	}
	return path
}

// Tool returns the path of the first of the named programs that is installed. If
// there is none the test fails, and cure says how to install it.
func Tool(t *testing.T, cure string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("none of %q is installed: %s", names, cure)
	return ""
}
