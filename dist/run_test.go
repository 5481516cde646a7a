package dist

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"phalanx/e2e/harness"
)

// TestMakeRun checks that make run prints the address and a command for top, and that the admin commands work with
// its socket.
func TestMakeRun(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(harness.FreePort(t))
	cmd := exec.Command("make", "--no-print-directory", "-C", "..", "run", "PORT="+port, "BASE="+dir)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	lines, printed := bufio.NewScanner(out), ""
	for lines.Scan() && !strings.Contains(lines.Text(), `"message":"serving"`) {
		printed += lines.Text() + "\n"
	}
	socket := "bin/" + port + ".sock"
	for _, want := range []string{"http://localhost:" + port + "/", "bin/master top --admin " + socket} {
		if !strings.Contains(printed, want) {
			t.Fatalf("%q is missing in the output\n%s", want, printed)
		}
	}
	if r, err := http.Get("http://localhost:" + port + "/a.txt"); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("response %v, error %v; want 200", r, err)
	}
	for _, order := range []string{"status", "stop"} {
		order := exec.Command("bin/master", order, "--admin", socket)
		order.Dir = ".."
		if text, err := order.CombinedOutput(); err != nil {
			t.Errorf("%q: %v\n%s", order.Args, err, text)
		}
	}
}
