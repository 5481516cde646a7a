package clients

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// TestApt installs packages from a repository of files, completes a package that was downloaded in part, and
// updates the package lists.
func TestApt(t *testing.T) {
	t.Parallel()
	names := []string{"phalanx-shield", "phalanx-spear", "phalanx-helmet"}
	base := repository(t, names)
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		apt := newProgram(t, "apt-get")
		apt.env = append(apt.env, "APT_CONFIG="+aptConfig(t, apt, s.URL("/")))
		apt.run("update")
		for _, deb := range harness.FilesOf(t, base) {
			if strings.Contains(deb, "shield") {
				data := harness.Read(t, filepath.Join(base, deb))
				partial := apt.at("apt/var/cache/apt/archives/partial/" + deb)
				harness.Write(t, partial, data[:len(data)/2])
				harness.Aged(t, partial)
			}
		}
		apt.run(append([]string{"install", "-y"}, names...)...)
		for _, name := range names {
			apt.holds("root/opt/"+name, harness.Noise(name, 200_000))
			want := 200
			if name == "phalanx-shield" {
				want = 206
			}
			if got := statuses(s, "/"+debName(name), 1); !slices.Equal(got, []int{want}) {
				t.Errorf("statuses of package %s: %v, want %d", name, got, want)
			}
		}
		apt.run("update")
		if got := statuses(s, "/./Release", 2); !slices.Equal(got, []int{200, 304}) {
			t.Errorf("statuses of two updates: %v, want 200 and 304", got)
		}
	})
}

// repository builds packages and their lists.
func repository(t *testing.T, names []string) string {
	t.Helper()
	base := harness.MemoryDir(t)
	dpkg := newProgram(t, "dpkg-deb")
	var packages bytes.Buffer
	for _, name := range names {
		control := fmt.Sprintf("Package: %s\nVersion: 1.0+ex\nArchitecture: all\nMaintainer: A <a@phalanx.test>\nDescription: a test\n", name)
		harness.Write(t, dpkg.at(name+"/DEBIAN/control"), []byte(control))
		harness.Write(t, dpkg.at(name+"/opt/"+name), harness.Noise(name, 200_000))
		deb := filepath.Join(base, fmt.Sprintf("%s_1.0+ex_all.deb", name))
		dpkg.run("--root-owner-group", "-Znone", "-b", name, deb)
		data := harness.Read(t, deb)
		fmt.Fprintf(&packages, "%sFilename: %s\nSize: %d\nSHA256: %x\n\n", control, filepath.Base(deb), len(data), sha256.Sum256(data))
	}
	harness.Write(t, filepath.Join(base, "Packages"), packages.Bytes())
	release := fmt.Sprintf("Suite: test\nDate: Thu, 04 Mar 2021 05:06:07 UTC\nSHA256:\n %x %d Packages\n", sha256.Sum256(packages.Bytes()), packages.Len())
	harness.Write(t, filepath.Join(base, "Release"), []byte(release))
	for _, file := range harness.FilesOf(t, base) {
		harness.Aged(t, filepath.Join(base, file))
	}
	return base
}

// debName returns a package's file name as apt requests it, with the plus encoded.
func debName(name string) string { return name + "_1.0%2bex_all.deb" }

// aptConfig returns a configuration that keeps apt and dpkg in the program's home directory.
func aptConfig(t *testing.T, apt *program, url string) string {
	t.Helper()
	for _, dir := range []string{
		"root/var/lib/dpkg/info", "root/var/lib/dpkg/updates", "root/var/lib/dpkg/triggers", "apt/etc/apt/preferences.d", "apt/var/log/apt",
		"apt/etc/apt/trusted.gpg.d", "apt/var/lib/apt/lists/partial", "apt/var/cache/apt/archives/partial", "apt/etc/apt/sources.list.d",
	} {
		if err := os.MkdirAll(apt.at(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	harness.Write(t, apt.at("root/var/lib/dpkg/status"), nil)
	harness.Write(t, apt.at("apt/etc/apt/sources.list"), []byte("deb [trusted=yes] "+url+" ./\n"))
	config := apt.at("apt.conf")
	harness.Write(t, config, fmt.Appendf(nil, `Dir "%s/apt";
Dir::State::status "%s/root/var/lib/dpkg/status";
Dir::Etc::Parts "/dev/null";
Dpkg::Options { "--root=%s/root"; "--force-not-root"; "--force-script-chrootless"; "--log=/dev/null"; };
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::http::Proxy "DIRECT";
`, apt.home, apt.home, apt.home))
	return config
}

// TestGoModules downloads a module from a module proxy of files.
func TestGoModules(t *testing.T) {
	t.Parallel()
	const module, escaped = "phalanx.test/Shield", "phalanx.test/!shield"
	source := harness.Noise("module", 100_000)
	base := harness.Tree(t, map[string]string{
		escaped + "/@v/list":        "v1.0.0\nv1.2.0\n",
		escaped + "/@v/v1.2.0.info": `{"Version":"v1.2.0","Time":"2021-03-04T05:06:07Z"}`,
		escaped + "/@v/v1.2.0.mod":  "module " + module + "\n",
		escaped + "/@v/v1.2.0.zip":  moduleZip(t, module+"@v1.2.0/", source),
	})
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		golang := newProgram(t, "go")
		golang.env = append(golang.env, "GOPROXY="+strings.TrimSuffix(s.URL("/"), "/"), "GOFLAGS=-mod=mod -modcacherw", "GONOSUMDB=*",
			"GOSUMDB=off", "GOTOOLCHAIN=local", "GOENV=off", "GOWORK=off", "GOMODCACHE="+golang.at("cache"), "GOCACHE="+golang.at("build"), "NO_PROXY=*")
		harness.Write(t, golang.at("go.mod"), []byte("module client.test\n"))
		var got struct{ Version, Dir string }
		if err := json.Unmarshal([]byte(golang.output("mod", "download", "-json", module+"@latest")), &got); err != nil {
			t.Fatal(err)
		}
		if got.Version != "v1.2.0" {
			t.Errorf("the latest version is %q, want v1.2.0", got.Version)
		}
		data, err := os.ReadFile(filepath.Join(got.Dir, "data.bin"))
		if err != nil || !bytes.Equal(data, source) {
			t.Errorf("the module's file differs from the served one: %d bytes, want %d, error %v", len(data), len(source), err)
		}
		if printed, code := golang.try("mod", "download", module+"@v9.9.9"); code == 0 || !strings.Contains(printed, "404") {
			t.Errorf("a missing version: exit status %d, output %s; want a failure with 404", code, printed)
		}
	})
}

// moduleZip returns a module's zip file as a module proxy serves it.
func moduleZip(t *testing.T, prefix string, source []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range map[string][]byte{"go.mod": []byte("module phalanx.test/Shield\n"), "data.bin": source} {
		f, err := w.Create(prefix + name)
		if err == nil {
			_, err = f.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
