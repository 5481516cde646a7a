// Command image builds container images of the programs for both architectures, without
// a daemon and without a base image:
//
//	image VERSION SECONDS OUT DIR-AMD64 DIR-ARM64
//
// Each DIR is an installation by make install. The command writes to OUT an OCI image
// layout of both architectures as one tar file, for registries, and for each architecture
// a tar file for docker load and podman load. SECONDS since 1970 is the timestamp of all
// files, so the same programs give the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is the user and group ID of the programs. Hosts have no account with it.
const user = 65532

// architectures lists the architectures of the DIR arguments, in their order.
var architectures = []string{"amd64", "arm64"}

func main() {
	if len(os.Args) != 4+len(architectures) {
		fmt.Fprintln(os.Stderr, "usage: image VERSION SECONDS OUT DIR-AMD64 DIR-ARM64")
		os.Exit(64)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(version, seconds, out string, dirs []string) error {
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	made := time.Unix(unix, 0).UTC()
	tag, err := name.NewTag("phalanx:" + version)
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, dir := range dirs {
		img, err := image(dir, version, architectures[i], made)
		if err != nil {
			return err
		}
		file := filepath.Join(out, fmt.Sprintf("phalanx-%s-linux-%s.image.tar", version, architectures[i]))
		if err := tarball.WriteToFile(file, tag, img); err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: architectures[i]},
		}})
	}
	return writeLayout(filepath.Join(out, "phalanx-"+version+".oci.tar"), index, tag, made)
}

// image returns the image of one architecture: one layer and its configuration.
func image(dir, version, arch string, made time.Time) (v1.Image, error) {
	content, err := layer(dir, made)
	if err != nil {
		return nil, err
	}
	one, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img, err := mutate.Append(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1),
		mutate.Addendum{Layer: one, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: made}, CreatedBy: "make image"}})
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", arch, v1.Time{Time: made}
	file.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", user, user),
		Entrypoint: []string{"/usr/bin/phalanx"},
		// Environment variables, so that flags given to the container add to them. The port is
		// the default one: if its variable were set, --listen would be refused.
		Env:          []string{"PATH=/usr/bin", "PHALANX_BASE=/srv/www", "PHALANX_ADMIN=127.0.0.1:9090", "PHALANX_ACCESS_LOG=-"},
		WorkingDir:   "/srv/www",
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		StopSignal:   "SIGTERM",
		Healthcheck: &v1.HealthConfig{
			Test:     []string{"CMD", "/usr/bin/phalanx", "status", "--admin", "127.0.0.1:9090"},
			Interval: 10 * time.Second, Timeout: 3 * time.Second, StartPeriod: 5 * time.Second, Retries: 3,
		},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "Phalanx",
			"org.opencontainers.image.description": "static web server that loses no connection",
			"org.opencontainers.image.version":     version,
			"org.opencontainers.image.licenses":    "MIT",
		},
	}
	return mutate.ConfigFile(img, file)
}

// layer returns a tar file with the programs of an installation, the symlink phalanx and
// an empty document root.
func layer(dir string, made time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, d := range []string{"srv/", "srv/www/", "usr/", "usr/bin/", "usr/lib/", "usr/lib/phalanx/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d, Mode: 0o755, ModTime: made}); err != nil {
			return nil, err
		}
	}
	for _, program := range []string{"usr/lib/phalanx/master", "usr/lib/phalanx/worker"} {
		data, err := os.ReadFile(filepath.Join(dir, program))
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: program, Mode: 0o755, Size: int64(len(data)), ModTime: made}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	link := &tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/bin/phalanx", Linkname: "../lib/phalanx/master", Mode: 0o777, ModTime: made}
	if err := w.WriteHeader(link); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writeLayout writes the image index as an OCI image layout in a tar file.
func writeLayout(file string, index v1.ImageIndex, tag name.Tag, made time.Time) error {
	dir, err := os.MkdirTemp("", "phalanx-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := to.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag.TagStr()})); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close() // for the returns before the Close below
	w := tar.NewWriter(out)
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return add(w, dir, path, d, made)
	}); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}

// add puts one file or directory of a layout into the tar file.
func add(w *tar.Writer, dir, path string, d fs.DirEntry, made time.Time) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(path, dir+"/"), Mode: 0o644, ModTime: made}
	if d.IsDir() {
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, h.Name+"/", 0o755
		return w.WriteHeader(h)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	h.Size = int64(len(data))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
