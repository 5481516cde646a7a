package dist

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestImage builds the images, in a repository that git refuses, such as another user's, and runs the one for this
// machine as a container runtime would: with its root directory, user and environment.
func TestImage(t *testing.T) {
	out := t.TempDir()
	cmd := exec.Command("sh", "../scripts/image.sh", "9.8.7", out)
	cmd.Env = append(os.Environ(), "GIT_DIR=/nonexistent", "GOFLAGS=-buildvcs=auto", "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("image.sh: %v\n%s", err, printed)
	}
	checkIndex(t, filepath.Join(out, "phalanx-9.8.7.oci.tar"))
	archive := entries(t, filepath.Join(out, "phalanx-9.8.7-linux-"+runtime.GOARCH+".image.tar"))
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	decode(t, archive["manifest.json"], &manifest)
	if len(manifest) != 1 || len(manifest[0].Layers) != 1 || !slices.Equal(manifest[0].RepoTags, []string{"phalanx:9.8.7"}) {
		t.Fatalf("manifest %+v, want one image with one layer and the tag phalanx:9.8.7", manifest)
	}
	var image struct {
		OS, Architecture string
		Config           struct {
			User            string
			Entrypoint, Env []string
			Healthcheck     struct{ Test []string }
		}
	}
	decode(t, archive[manifest[0].Config], &image)
	if image.OS != "linux" || image.Architecture != runtime.GOARCH || image.Config.User != "65532:65532" {
		t.Errorf("image configuration %+v", image)
	}
	root := t.TempDir()
	unpack(t, archive[manifest[0].Layers[0]], root)
	if err := os.WriteFile(filepath.Join(root, "srv/www/index.html"), []byte("from the image"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, root, image.Config.Env, image.Config.Entrypoint, image.Config.Healthcheck.Test[1:])
}

// run checks that no variable of the image excludes a flag, such as --listen for HTTPS. Then it starts the server,
// requests its page and runs the health check.
func run(t *testing.T, root string, env, entry, health []string) {
	t.Helper()
	port, admin := strconv.Itoa(harness.FreePort(t)), "127.0.0.1:"+strconv.Itoa(harness.FreePort(t))
	health[slices.Index(health, "127.0.0.1:9090")] = admin
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Path, cmd.Err = args[0], nil
		cmd.Env, cmd.Dir = env, "/srv/www"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		if os.Geteuid() == 0 {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65532, Gid: 65532}
			return cmd
		}
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 65532, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 65532, HostID: os.Getegid(), Size: 1}}
		return cmd
	}
	if text, err := inside(append(entry, "--listen", "http://:8080", "--worker", "/usr/lib/phalanx/worker", "--check")...).CombinedOutput(); err != nil {
		t.Errorf("--listen is refused in the container: %v\n%s", err, text)
	}
	server := inside(append(entry, "--port", port, "--admin", admin, "--worker", "/usr/lib/phalanx/worker")...)
	var printed strings.Builder
	server.Stdout, server.Stderr = &printed, &printed
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Process.Kill() // unless it has exited
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	deadline := time.Now().Add(time.Minute)
	for body := ""; body != "from the image"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no page within a minute; output:\n%s", printed.String())
		}
		if r, err := http.Get("http://127.0.0.1:" + port + "/"); err == nil {
			data, _ := io.ReadAll(r.Body)
			r.Body.Close()
			body = string(data)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if text, err := inside(health...).CombinedOutput(); err != nil {
		t.Errorf("%q: %v\n%s", health, err, text)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server exited with %v; output:\n%s", err, printed.String())
		}
	case <-time.After(time.Minute):
		t.Errorf("the server did not exit on SIGTERM; output:\n%s", printed.String())
	}
	if text, err := inside(health...).CombinedOutput(); err == nil {
		t.Errorf("%q succeeded after the server had exited: %s", health, text)
	}
}

// checkIndex checks that the image for registries is for both architectures.
func checkIndex(t *testing.T, file string) {
	t.Helper()
	blobs := entries(t, file)
	type index struct {
		MediaType string
		Manifests []struct {
			Digest   string
			Platform struct{ OS, Architecture string }
		}
	}
	var outer, inner index
	decode(t, blobs["index.json"], &outer)
	if len(outer.Manifests) != 1 {
		t.Fatalf("index.json: %s", blobs["index.json"])
	}
	decode(t, blobs["blobs/"+strings.Replace(outer.Manifests[0].Digest, ":", "/", 1)], &inner)
	var platforms []string
	for _, m := range inner.Manifests {
		platforms = append(platforms, m.Platform.OS+"/"+m.Platform.Architecture)
	}
	if !slices.Equal(platforms, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("the image is for %q, want linux/amd64 and linux/arm64", platforms)
	}
}

// entries returns the files in a tar archive.
func entries(t *testing.T, file string) map[string][]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if all[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
}

// unpack extracts the directories, files and symbolic links of a layer.
func unpack(t *testing.T, layer []byte, dir string) {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(string(layer)))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, path.Clean("/"+h.Name))
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(to, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, to)
		default:
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(to, data, h.FileInfo().Mode())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
