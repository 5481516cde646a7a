package rescue

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"phalanx/e2e/harness"
)

var largeSize = flag.Int64("kill.large", 1<<30, "size in bytes of TestDownloadThroughKills's file")

// TestDownloadThroughKills downloads a large file with curl at full speed while its worker is
// killed twenty times.
func TestDownloadThroughKills(t *testing.T) {
	curl := harness.Tool(t, "install curl", "curl")
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	log := filepath.Join(harness.OpenDir(t), "access.log")
	want := recognisable(t, filepath.Join(base, "large.bin"))
	s := harness.ServeSilently(t, harness.Plan{
		Binary: filepath.Join(harness.Tagged(t, "killpoints"), "master"), Args: []string{"--base", base, "--workers", "1", "--access-log", log},
	})
	cmd := exec.Command(curl, "-q", "-sS", "--fail", s.URL("/large.bin"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	const kills = 20
	sum := sha256.New()
	for range kills {
		n, err := io.CopyN(sum, out, *largeSize/(kills+1))
		if err != nil {
			t.Errorf("the download ended %d bytes after the last kill: %v", n, err)
			break
		}
		// At any moment, except when there is no worker.
		var victim int
		harness.Await(t, harness.ClientTimeout, "a worker", func() bool {
			if all := s.Workers(); len(all) == 1 {
				victim = all[0]
			}
			return victim != 0
		})
		harness.Kill(t, victim, syscall.SIGKILL)
		harness.AwaitEnd(t, harness.ClientTimeout, victim)
	}
	n, err := io.Copy(sum, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("curl: %v", err)
	}
	if err != nil || [32]byte(sum.Sum(nil)) != want {
		t.Errorf("the content is wrong; last part: %d bytes, error %v", n, err)
	}
	s.Stop(harness.ClientTimeout)
	text, err := os.ReadFile(log)
	line := fmt.Sprintf("\"GET /large.bin HTTP/1.1\" 200 %d ", *largeSize)
	if err != nil || strings.Count(string(text), line) != 1 {
		t.Errorf("access log: %q, error %v; want one line with %s", text, err, line)
	}
}

// recognisable makes a sparse file with a piece of noise in each MiB, and returns its SHA-256 sum.
func recognisable(t *testing.T, path string) (sum [32]byte) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, zeros := sha256.New(), make([]byte, 1<<20)
	for off := int64(0); off < *largeSize; off += 1 << 20 {
		piece := harness.Noise(path+string(rune(off>>20)), 1000)
		if _, err := f.WriteAt(piece, off); err != nil {
			t.Fatal(err)
		}
		h.Write(piece)
		h.Write(zeros[:min(1<<20, *largeSize-off)-int64(len(piece))])
	}
	if err := f.Truncate(*largeSize); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}
