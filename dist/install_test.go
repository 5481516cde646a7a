// Package dist holds the files that are installed with the programs. Its tests run make install below a
// temporary directory and check the result.
package dist

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const prefix = "/opt/x"

// installed are the files and links that make install creates, below the prefix.
var installed = []string{
	"bin/phalanx",
	"lib/phalanx/master",
	"lib/phalanx/worker",
	"lib/systemd/system/phalanx.service",
	"share/bash-completion/completions/phalanx",
	"share/doc/phalanx/phalanx.conf",
	"share/fish/vendor_completions.d/phalanx.fish",
	"share/man/man1/phalanx.1",
	"share/zsh/site-functions/_phalanx",
}

// TestInstall checks what make install installs, and that make uninstall removes exactly that.
func TestInstall(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "a package")
	root := filepath.Join(dest, prefix)
	others := filepath.Join(root, "share/man/man1/other.1")
	if err := os.MkdirAll(filepath.Dir(others), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(others, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	runMake(t, "install", dest)
	want := slices.Clone(installed)
	if _, err := os.Stat("phalanx.logrotate"); err == nil {
		want = append(want, "share/doc/phalanx/phalanx.logrotate")
		slices.Sort(want)
	}
	if got := slices.DeleteFunc(files(t, dest), func(f string) bool { return f == others }); !slices.Equal(got, beneath(root, want)) {
		t.Errorf("installed %q\nwant %q", got, beneath(root, want))
	}
	t.Run("programs", func(t *testing.T) { checkPrograms(t, root) })
	t.Run("sample", func(t *testing.T) { checkSample(t, root) })
	t.Run("unit", func(t *testing.T) { checkUnit(t, root) })
	t.Run("man", func(t *testing.T) { checkMan(t, root) })
	t.Run("bash", func(t *testing.T) { checkBash(t, root) })
	runMake(t, "uninstall", dest)
	if got := files(t, dest); !slices.Equal(got, []string{others}) {
		t.Errorf("uninstall leaves %q, want only the other package's file", got)
	}
	for _, dir := range []string{"lib/phalanx", "share/doc/phalanx"} {
		if _, err := os.Stat(filepath.Join(root, dir)); err == nil {
			t.Errorf("uninstall leaves the directory %s", dir)
		}
	}
	runMake(t, "uninstall", dest) // a second time: nothing to remove is not an error
}

func runMake(t *testing.T, target, dest string) {
	t.Helper()
	cmd := exec.Command("make", "--no-print-directory", "-C", "..", target, "DESTDIR="+dest, "PREFIX="+prefix)
	// Keep the flags of the make that runs this test from this one.
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, out)
	}
}

// files returns all files and links below a directory, sorted.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func beneath(root string, names []string) []string {
	var paths []string
	for _, name := range names {
		paths = append(paths, filepath.Join(root, name))
	}
	return paths
}

// checkPrograms runs the command through its link; it has to find its worker.
func checkPrograms(t *testing.T, root string) {
	command := filepath.Join(root, "bin/phalanx")
	if to, err := os.Readlink(command); err != nil || to != "../lib/phalanx/master" {
		t.Errorf("bin/phalanx is a link to %q, error %v; want ../lib/phalanx/master", to, err)
	}
	for _, args := range [][]string{{"--version"}, {"--check", "--base", root}} {
		if out, err := exec.Command(command, args...).CombinedOutput(); err != nil {
			t.Errorf("phalanx %q: %v, %s", args, err, out)
		}
	}
	out, err := exec.Command(command, "--nonsense").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "'phalanx --help'") {
		t.Errorf("phalanx --nonsense: %v, %s", err, out)
	}
}

// checkSample checks the sample options file as installed and with changed options.
func checkSample(t *testing.T, root string) {
	text, err := os.ReadFile(filepath.Join(root, "share/doc/phalanx/phalanx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "phalanx.conf")
	set := strings.NewReplacer("#base = .\n", "base = "+root+"\n", "#port = 8080\n", "port = 8081\n").Replace(string(text))
	if err := os.WriteFile(file, []byte(set), 0o644); err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(root, "bin/phalanx")
	if out, err := exec.Command(command, "--config", file, "--check").CombinedOutput(); err != nil {
		t.Errorf("--check of the sample: %v, %s", err, out)
	}
	out, err := exec.Command(command, "config", "--config", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nport = 8081 ") || !strings.Contains(string(out), "# "+file+":") {
		t.Errorf("config of the sample: %v\n%s", err, out)
	}
}

func checkUnit(t *testing.T, root string) {
	text, err := os.ReadFile(filepath.Join(root, "lib/systemd/system/phalanx.service"))
	if err != nil || !strings.Contains(string(text), "\nExecStart="+prefix+"/bin/phalanx --config /etc/phalanx.conf\n") ||
		!strings.Contains(string(text), "\nExecReload="+prefix+"/bin/phalanx --config /etc/phalanx.conf --check\n") {
		t.Errorf("the unit does not start the installed program; error %v\n%s", err, text)
	}
}

// checkMan checks the manual page with mandoc.
func checkMan(t *testing.T, root string) {
	page := filepath.Join(root, "share/man/man1/phalanx.1")
	lint := exec.Command(tool(t, "mandoc"), "-Tlint", "-W", "warning", page)
	if out, err := lint.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("mandoc -Tlint: %v\n%s", err, out)
	}
	out, err := exec.Command(tool(t, "mandoc"), "-Tascii", page).Output()
	if err != nil || !strings.Contains(string(out), "Drain: stop accepting, finish requests under way") {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

// bashLine completes a line as readline does; the cursor is in the last word.
const bashLine = `
source "$1" || exit
line=$2
shift 2
COMP_WORDS=(phalanx "$@")
COMP_CWORD=$#
COMP_LINE=$line
COMP_POINT=${#line}
_phalanx phalanx
for reply in "${COMPREPLY[@]}"; do printf '%s|' "$reply"; done
`

func checkBash(t *testing.T, root string) {
	dir := t.TempDir()
	for _, name := range []string{"site/a b", "sites", "it's"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "my conf"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(root, "share/bash-completion/completions/phalanx")
	bash := tool(t, "bash")
	for _, tt := range []struct {
		line  string
		words []string // as bash splits the line
		want  string
	}{
		{"phalanx st", []string{"st"}, "status|stop|"},
		{"phalanx top --", []string{"top", "--"}, "--admin|--admin-token-file|--help|--interval|"},
		{"phalanx --model ", []string{"--model", ""}, "goroutine|process|serial|"},
		{"phalanx --model=", []string{"--model", "="}, "goroutine|process|serial|"},
		{"phalanx --model=p", []string{"--model", "=", "p"}, "process|"},
		{"phalanx --engine e", []string{"--engine", "e"}, "epoll|"},
		{"phalanx --log-format ", []string{"--log-format", ""}, "auto|console|json|"},
		{"phalanx --access-log-format c", []string{"--access-log-format", "c"}, "combined|common|"},
		{"phalanx  --base  s", []string{"--base", "s"}, "site|sites|"},
		{"phalanx --base=site/", []string{"--base", "=", "site/"}, "site/a b|"},
		{`phalanx --base "site/a`, []string{"--base", `"site/a`}, "site/a b|"},
		{`phalanx --base it\'`, []string{"--base", `it\'`}, "it's|"},
		{"phalanx --base ~/si", []string{"--base", "~/si"}, "~/site|~/sites|"},
		{"phalanx --config my", []string{"--config", "my"}, `my\ conf|`},
		{"phalanx status --admin [::1]:90 --j", []string{"status", "--admin", "[", ":", ":", "1]", ":", "90", "--j"}, "--json|"},
		{"phalanx explain http://a/ --lis", []string{"explain", "http", ":", "//a/", "--lis"}, "--list|--listen|"},
		{"phalanx completion ", []string{"completion", ""}, "bash|fish|zsh|"},
		{"phalanx nonsense", []string{"nonsense"}, ""},
	} {
		cmd := exec.Command(bash, append([]string{"--norc", "-c", bashLine, "bash", script, tt.line}, tt.words...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("%q: %q, error %v\nwant %q", tt.line, out, err, tt.want)
		}
	}
}

// tool returns the path of an installed program, or fails and says how to install it.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; make test installs it if apt-get is available", name)
	}
	return path
}
