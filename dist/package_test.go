package dist

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// packaged are the files of every package beside those of make install.
var packaged = []string{"/etc/phalanx.conf", "/etc/logrotate.d/phalanx", "/usr/lib/sysusers.d/phalanx.conf"}

// TestPackages makes the packages of this machine's architecture twice, and looks
// into them with the tools of those who install them.
func TestPackages(t *testing.T) {
	const version = "9.8.7"
	out := makePackages(t, version)
	again := makePackages(t, version)
	sums, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(again, "SHA256SUMS"))
	if err != nil || !slices.Equal(reproducible(sums), reproducible(other)) {
		t.Errorf("the same commit gives other packages: %v\n%s\n%s", err, sums, other)
	}
	checkSums(t, out, string(sums))
	t.Run("deb", func(t *testing.T) { checkDeb(t, one(t, out, "*.deb"), version) })
	t.Run("rpm", func(t *testing.T) {
		listed := strings.Fields(output(t, "rpm", "-qpl", "--nosignature", one(t, out, "*.rpm")))
		missing(t, listed, append(slices.Clone(packaged), "/usr/bin/phalanx", "/usr/share/man/man1/phalanx.1.gz"))
		if config := strings.Fields(output(t, "rpm", "-qpc", "--nosignature", one(t, out, "*.rpm"))); !slices.Contains(config, "/etc/phalanx.conf") {
			t.Errorf("of the package's files these are configuration: %q", config)
		}
	})
	t.Run("apk", func(t *testing.T) {
		listed := strings.Fields(output(t, "tar", "-tzf", one(t, out, "*.apk")))
		missing(t, listed, []string{"etc/phalanx.conf", "etc/init.d/phalanx", "usr/bin/phalanx", ".post-install", ".pre-deinstall"})
	})
	t.Run("tar.gz", func(t *testing.T) {
		dir := t.TempDir()
		output(t, "tar", "-xzf", one(t, out, "*.tar.gz"), "-C", dir)
		if said := output(t, one(t, dir, "*/bin/phalanx"), "--version"); said != "phalanx "+version+"\n" {
			t.Errorf("its program says %q", said)
		}
		one(t, dir, "*/share/doc/phalanx/LICENSE")
	})
	t.Run("parts", func(t *testing.T) { checkParts(t, one(t, out, "*-master.cdx.json")) })
}

// reproducible returns the lines of the packages that have the same bytes each time:
// nfpm writes the scripts of an .apk in an order that changes.
func reproducible(sums []byte) []string {
	lines := strings.Split(string(sums), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasSuffix(line, ".apk") })
}

// makePackages returns the directory that has them.
func makePackages(t *testing.T, version string) string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command("sh", "../scripts/packages.sh", version, out)
	cmd.Env = append(os.Environ(), "ARCHS="+runtime.GOARCH, "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("packages.sh: %v\n%s", err, said)
	}
	return out
}

// one returns the only file that a pattern matches.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s in %s: %q, %v", pattern, dir, found, err)
	}
	return found[0]
}

// output runs a command and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func missing(t *testing.T, listed, want []string) {
	t.Helper()
	for _, file := range want {
		if !slices.Contains(listed, file) {
			t.Errorf("%s is missing among %q", file, listed)
		}
	}
}

// checkSums computes the sums anew: there is one for each file.
func checkSums(t *testing.T, dir, sums string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(sums, "\n"); lines != len(entries)-1 || lines < 6 {
		t.Errorf("%d sums for %d files", lines, len(entries)-1)
	}
	for line := range strings.Lines(sums) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		data, err := os.ReadFile(filepath.Join(dir, name))
		if got := sha256.Sum256(data); err != nil || hex.EncodeToString(got[:]) != sum {
			t.Errorf("the sum of %s is wrong: %v", name, err)
		}
	}
}

// checkDeb judges the package for Debian, by Debian's own judge, and unpacks it.
func checkDeb(t *testing.T, deb, version string) {
	root := t.TempDir()
	output(t, "dpkg-deb", "-x", deb, root)
	missing(t, files(t, root), beneath(root, packaged))
	if said := output(t, filepath.Join(root, "usr/bin/phalanx"), "--version"); said != "phalanx "+version+"\n" {
		t.Errorf("its program says %q", said)
	}
	if said := output(t, filepath.Join(root, "usr/bin/phalanx"), "--config", filepath.Join(root, "etc/phalanx.conf"),
		"--base", root, "--access-log", "-", "--admin", filepath.Join(root, "admin.sock"), "--check"); !strings.HasPrefix(said, "the options are valid") {
		t.Errorf("its configuration is not clean: %s", said)
	}
	for field, want := range map[string]string{"Package": "phalanx", "Version": version + "-1", "Architecture": runtime.GOARCH} {
		if got := strings.TrimSpace(output(t, "dpkg-deb", "-f", deb, field)); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	cmd := exec.Command("lintian", "--allow-root", "--profile", "debian", "--fail-on", "error", deb)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, said)
	}
}

// checkParts reads what a program is made of.
func checkParts(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BomFormat  string
		Components []struct{ Name, Version, Purl string }
	}
	if err := json.Unmarshal(data, &bom); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range bom.Components {
		if names = append(names, c.Name); c.Version == "" || c.Purl == "" {
			t.Errorf("%+v says too little", c)
		}
	}
	if bom.BomFormat != "CycloneDX" {
		t.Errorf("its format is %q", bom.BomFormat)
	}
	missing(t, names, []string{"github.com/rs/zerolog", "golang.org/x/sys", "github.com/jessevdk/go-flags"})
}
