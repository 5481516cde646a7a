package http

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// memory returns the largest peak memory use of a server's processes, in KiB.
func memory(t *testing.T, s *harness.Server) (most int) {
	t.Helper()
	for _, pid := range append(s.Workers(), s.PID()) {
		text := harness.Read(t, fmt.Sprintf("/proc/%d/status", pid))
		_, rest, _ := strings.Cut(string(text), "VmHWM:")
		most = max(most, harness.Atoi(strings.Fields(rest)[0]))
	}
	return most
}

// shell runs a command with bash and returns its output, trimmed.
func shell(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("bash", "-c", "set -eo pipefail; "+command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%.500s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestArchiveOfManyFiles downloads a directory of 10,000 files in each format and unpacks it with the
// usual programs.
func TestArchiveOfManyFiles(t *testing.T) {
	t.Parallel()
	const files = 10_000
	base := harness.MemoryDir(t)
	for i := range files {
		dir := filepath.Join(base, "dir", strconv.Itoa(i%100))
		if i < 100 && os.MkdirAll(dir, 0o755) != nil {
			t.Fatal(dir)
		}
		harness.Write(t, filepath.Join(dir, fmt.Sprintf("file %d é.txt", i)), []byte(strconv.Itoa(i)))
	}
	for _, engine := range []string{"epoll", "netpoll"} {
		s := harness.Serve(t, base, "--archive", "--engine", engine, "--workers", "2")
		for format, unpack := range map[string]string{"zip": "unzip -q", "tar": "tar xf", "tar.gz": "tar xzf"} {
			to := harness.MemoryDir(t)
			shell(t, fmt.Sprintf("cd %s && curl -fsSJO '%s' && %s dir.%s && diff -r dir %s/dir", to, s.URL("/dir/?archive="+format), unpack, format, base))
		}
		if most := memory(t, s); most > 64<<10 {
			t.Errorf("%s: a process used up to %d KiB, want at most 64 MiB", engine, most)
		}
		s.Stop(5 * time.Second)
	}
}

// TestArchiveOfLargeFile downloads a file of 4.3 GB, whose size does not fit in 32 bits, in a tar and a
// zip archive. The server's memory does not grow with the file.
func TestArchiveOfLargeFile(t *testing.T) {
	t.Parallel()
	const size = 4_300_000_000
	base := harness.MemoryDir(t)
	harness.Sparse(t, base+"/large.txt", size)
	s := harness.Serve(t, base, "--archive", "--workers", "2")
	name := filepath.Base(base)
	if got := shell(t, fmt.Sprintf("curl -fsS '%s' | tar x --to-stdout -f - %s/large.txt | wc -c", s.URL("/?archive=tar"), name)); got != strconv.Itoa(size) {
		t.Errorf("the tar archive has %s bytes of the file, want %d", got, size)
	}
	zip := harness.MemoryDir(t) + "/a.zip"
	shell(t, fmt.Sprintf("curl -fsS -o %s '%s'", zip, s.URL("/?archive=zip")))
	if got := shell(t, "unzip -l "+zip+"; unzip -tq "+zip); !strings.Contains(got, strconv.Itoa(size)) || !strings.Contains(got, "No errors") {
		t.Errorf("output of unzip: %s", got)
	}
	if most := memory(t, s); most > 64<<10 {
		t.Errorf("a process used up to %d KiB, want at most 64 MiB", most)
	}
}

// TestArchiveFlagAndDrain serves archives with --archive only, and completes one that is under way
// when the server stops.
func TestArchiveFlagAndDrain(t *testing.T) {
	t.Parallel()
	base := harness.MemoryDir(t)
	harness.Sparse(t, base+"/sub.bin", 64<<20)
	harness.Write(t, base+"/dir/file.txt", []byte("text"))
	off := harness.Serve(t, base, "--list")
	if page := shell(t, "curl -fsS '"+off.URL("/dir/?archive=zip")+"'"); !strings.HasPrefix(page, "<!DOCTYPE html>") || strings.Contains(page, "archive=") {
		t.Errorf("without --archive: %.100s, want a listing without links to archives", page)
	}
	for _, engine := range []string{"epoll", "netpoll"} {
		on := harness.Serve(t, base, "--archive", "--engine", engine)
		c := on.Dial()
		on.MustSend(c, "GET /?archive=tar HTTP/1.0\r\n\r\n")
		r, err := c.Head()
		if err != nil || r.Status != 200 || !r.Closes() || r.Length >= 0 {
			t.Fatalf("%v, error %v; want 200 with Connection: close and no Content-Length", r, err)
		}
		on.Interrupt()
		on.AwaitRefusal()
		n, err := io.Copy(io.Discard, c.In)
		if err != nil || n < 64<<20 {
			t.Errorf("%s: received %d bytes while draining, error %v; want the whole archive", engine, n, err)
		}
		on.MustExit(10 * time.Second)
	}
}
