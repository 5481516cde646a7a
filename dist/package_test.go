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

	"phalanx/internal/options"
)

// packaged are the files of every package in addition to those of make install.
var packaged = []string{"/etc/phalanx.conf", "/etc/logrotate.d/phalanx", "/usr/lib/sysusers.d/phalanx.conf"}

// TestPackages builds the packages for this machine's architecture twice, compares them, and inspects them with
// the tools of their package managers.
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
		t.Errorf("two builds of the same commit differ; error %v\n%s\n%s", err, sums, other)
	}
	checkSums(t, out, string(sums))
	t.Run("deb", func(t *testing.T) { checkDeb(t, one(t, out, "*.deb"), version) })
	t.Run("rpm", func(t *testing.T) {
		listed := strings.Fields(output(t, "rpm", "-qpl", "--nosignature", one(t, out, "*.rpm")))
		missing(t, listed, append(slices.Clone(packaged), "/usr/bin/phalanx", "/usr/share/man/man1/phalanx.1.gz"))
		if config := strings.Fields(output(t, "rpm", "-qpc", "--nosignature", one(t, out, "*.rpm"))); !slices.Contains(config, "/etc/phalanx.conf") {
			t.Errorf("configuration files of the package: %q, want /etc/phalanx.conf among them", config)
		}
	})
	t.Run("apk", func(t *testing.T) {
		listed := strings.Fields(output(t, "tar", "-tzf", one(t, out, "*.apk")))
		missing(t, listed, []string{"etc/phalanx.conf", "etc/init.d/phalanx", "usr/bin/phalanx", ".post-install", ".post-upgrade", ".pre-deinstall"})
	})
	t.Run("tar.gz", func(t *testing.T) {
		dir := t.TempDir()
		output(t, "tar", "-xzf", one(t, out, "*.tar.gz"), "-C", dir)
		if printed := output(t, one(t, dir, "*/bin/phalanx"), "--version"); printed != "phalanx "+version+"\n" {
			t.Errorf("--version of the packaged program: %q", printed)
		}
		one(t, dir, "*/share/doc/phalanx/LICENSE")
	})
	t.Run("parts", func(t *testing.T) { checkParts(t, one(t, out, "*-master.cdx.json")) })
}

// TestVersions checks that the packages of a commit after a release are newer than those of the release and of
// earlier commits, and older than those of the next release.
func TestVersions(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"scripts/version.sh", "internal/options/version.go"} {
		output(t, "install", "-D", "../"+file, filepath.Join(dir, file))
	}
	git := func(args ...string) {
		t.Helper()
		output(t, "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.org",
			"-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"}, args...)...)
	}
	version := func() string {
		t.Helper()
		return strings.TrimSpace(output(t, "sh", filepath.Join(dir, "scripts/version.sh")))
	}
	git("init", "--quiet")
	for range 9 {
		git("commit", "--quiet", "--allow-empty", "--message=a")
	}
	earlier := version()
	git("tag", "v0.0.9")
	if got := version(); got != "0.0.9" {
		t.Errorf("the version at the tag v0.0.9 is %q, want 0.0.9", got)
	}
	git("commit", "--quiet", "--allow-empty", "--message=a")
	now := version()
	out := makePackages(t, now)
	deb := strings.TrimSpace(output(t, "dpkg-deb", "-f", one(t, out, "*.deb"), "Version"))
	output(t, "dpkg", "--compare-versions", deb, "gt", "0.0.9-1")
	output(t, "dpkg", "--compare-versions", deb, "gt", strings.Replace(earlier, "-", "~", 1)+"-1")
	output(t, "dpkg", "--compare-versions", deb, "lt", options.Version+"-1")
	rpm := strings.TrimSpace(output(t, "rpm", "-qp", "--nosignature", "--queryformat", "%{version}", one(t, out, "*.rpm")))
	if order := strings.TrimSpace(output(t, "rpm", "--eval", `%{lua:print(rpm.vercmp("`+rpm+`", "`+options.Version+`"))}`)); order != "-1" {
		t.Errorf("the .rpm has version %q, want one before %s", rpm, options.Version)
	}
	if apk := output(t, "tar", "-xzOf", one(t, out, "*.apk"), ".PKGINFO"); !strings.Contains(apk, "\npkgver = "+options.Version+"_pre10-r1\n") {
		t.Errorf("the .apk has another version than %s_pre10-r1:\n%s", options.Version, apk)
	}
}

// reproducible returns the checksum lines of packages that are the same in every build. Those of .apk packages
// differ, because nfpm writes their scripts in random order.
func reproducible(sums []byte) []string {
	lines := strings.Split(string(sums), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasSuffix(line, ".apk") })
}

// makePackages builds the packages and returns their directory.
func makePackages(t *testing.T, version string) string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command("sh", "../scripts/packages.sh", version, out)
	cmd.Env = append(os.Environ(), "ARCHS="+runtime.GOARCH, "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("packages.sh: %v\n%s", err, printed)
	}
	return out
}

// one returns the only file that matches a pattern.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("files that match %s in %s: %q, error %v; want one", pattern, dir, found, err)
	}
	return found[0]
}

// output runs a command that has to succeed and returns its output.
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
			t.Errorf("%s is not among %q", file, listed)
		}
	}
}

// checkSums checks that SHA256SUMS has the right sum of every file.
func checkSums(t *testing.T, dir, sums string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(sums, "\n"); lines != len(entries)-1 || lines < 6 {
		t.Errorf("%d sums for %d files, want at least 6", lines, len(entries)-1)
	}
	for line := range strings.Lines(sums) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		data, err := os.ReadFile(filepath.Join(dir, name))
		if got := sha256.Sum256(data); err != nil || hex.EncodeToString(got[:]) != sum {
			t.Errorf("the sum of %s is wrong: %v", name, err)
		}
	}
}

// checkDeb unpacks the Debian package and checks it with lintian.
func checkDeb(t *testing.T, deb, version string) {
	root := t.TempDir()
	output(t, "dpkg-deb", "-x", deb, root)
	missing(t, files(t, root), beneath(root, packaged))
	if printed := output(t, filepath.Join(root, "usr/bin/phalanx"), "--version"); printed != "phalanx "+version+"\n" {
		t.Errorf("--version of the packaged program: %q", printed)
	}
	if printed := output(t, filepath.Join(root, "usr/bin/phalanx"), "--config", filepath.Join(root, "etc/phalanx.conf"),
		"--base", root, "--access-log", "-", "--admin", filepath.Join(root, "admin.sock"), "--check"); !strings.HasPrefix(printed, "the options are valid") {
		t.Errorf("--check of the packaged options file: %s", printed)
	}
	for field, want := range map[string]string{"Package": "phalanx", "Version": version + "-1", "Architecture": runtime.GOARCH} {
		if got := strings.TrimSpace(output(t, "dpkg-deb", "-f", deb, field)); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	cmd := exec.Command("lintian", "--allow-root", "--profile", "debian", "--fail-on", "error", deb)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, printed)
	}
}

// checkParts checks the software bill of materials of a program.
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
			t.Errorf("the component %+v lacks a version or a purl", c)
		}
	}
	if bom.BomFormat != "CycloneDX" {
		t.Errorf("the format is %q, want CycloneDX", bom.BomFormat)
	}
	missing(t, names, []string{"github.com/rs/zerolog", "golang.org/x/sys", "github.com/jessevdk/go-flags"})
}
