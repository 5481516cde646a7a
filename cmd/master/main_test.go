package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
	"phalanx/internal/logging"
	"phalanx/internal/options"
)

// TestMain makes the test binary a worker that serves nothing, if it is executed as one.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "--slot=") {
		os.Exit(m.Run())
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT)
	c, err := ipc.Open(ipc.ControlFD)
	if err == nil {
		err = c.Send(ipc.Ready{PID: os.Getpid(), Version: options.Version})
	}
	if err != nil {
		panic(err)
	}
	<-stop
}

// output is a pipe whose text can be read once the writer is closed.
func output(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func text(t *testing.T, r, w *os.File) string {
	t.Helper()
	w.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	plain, conf := filepath.Join(dir, "plain"), filepath.Join(dir, "conf")
	for path, text := range map[string]string{plain: "", conf: "portt = 80\nlist\nworkers = x\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	self := fmt.Sprintf("%s (pid %d)", processName, os.Getpid())
	const cure = "; build it with make, or name it with --worker PATH\n"
	const spa = "--spa: fallback ../x: it leads out of the document root; name a file in the document root\n"
	noLog := fmt.Sprintf("open access log %q: directory %q: no such file or directory; create it, or choose another --access-log\n", dir+"/none/log", dir+"/none")
	tests := []struct {
		args string
		code int
		err  string
	}{
		{"--port x", 64, "--port x: must be 0 to 65535 (0 chooses a free one)\n"},
		{"--base " + dir + "/none", 78, "--base " + dir + "/none: no such directory; create it or give another\n"},
		{"--check --config " + conf, 78, conf + ":1: portt: unknown flag; did you mean port?\n" + name() + ": " + conf + ":3: --workers x: must be 1 to 1024 (0 is one per CPU)\n"},
		{"--port 0 --spa ../x --base " + dir + " --worker /bin/true", 78, spa},
		{"--check --spa ../x --base " + dir + " --worker /bin/true", 78, spa},
		{"--port 0 --access-log " + dir + "/none/log --worker /bin/true", 78, noLog},
		{"--check --access-log " + dir + "/none/log --worker /bin/true", 78, noLog},
		{"--port 0 --worker " + dir + "/none", 78, "worker " + dir + "/none: no such file" + cure},
		{"--port 0 --worker " + dir, 78, "worker " + dir + ": not an executable file" + cure},
		{"--port 0 --worker " + plain, 78, "worker " + plain + ": not an executable file" + cure},
		{"--port 0 --worker /bin/true", 78, "worker /bin/true: not a worker of Phalanx " + options.Version + " (exit status 0)" + cure},
		{"--port " + taken + " --worker /bin/true", 1, "--port " + taken + ": already in use by " + self + "; stop it or choose another port\n"},
		{"--port 0 --bind x --worker /bin/true", 64, "--bind x: must be an IP address of this machine, such as 127.0.0.1 or ::1\n"},
		{"--check --bind 192.0.2.1 --worker /bin/true", 78, "--bind 192.0.2.1: not an address of this machine; choose one of its own, or omit --bind\n"},
		{"--listen http://192.0.2.1:81 --worker /bin/true", 78, "--listen http://192.0.2.1:81: not an address of this machine; choose one of its own, or write --listen http://:81\n"},
		{"--listen unix:" + plain + " --worker /bin/true", 78, "--listen unix:" + plain + ": the file exists and is not a socket; remove it or choose another path\n"},
		{"--check --listen unix:" + plain + "/s --worker /bin/true", 78, "--listen unix:" + plain + "/s: directory " + plain + " does not exist; create it or choose another path\n"},
		{"--check --admin " + plain + "/s --worker /bin/true", 78, "--admin " + plain + "/s: directory " + plain + " does not exist; create it or choose another path\n"},
		{"--check --admin " + plain + " --worker /bin/true", 78, "--admin " + plain + ": the file exists and is not a socket; remove it or choose another path\n"},
		{"--check --admin 192.0.2.1:81 --worker /bin/true", 78, "--admin 192.0.2.1:81: not an address of this machine; choose one of its own, such as 127.0.0.1:81\n"},
		{"--listen http://:0 --listen http://127.0.0.1:" + taken + " --worker /bin/true", 1, "--listen http://127.0.0.1:" + taken + ": already in use by " + self + "; stop it or choose another port\n"},
		{"--listen :80", 64, "--listen :80: has no scheme; write http://:80\n"},
		{"--port 0 --bind 192.0.2.1 --worker /bin/true", 78, "--bind 192.0.2.1: not an address of this machine; choose one of its own, or omit --bind\n"},
	}
	for _, tt := range tests {
		outR, outW := output(t)
		errR, errW := output(t)
		code := run(strings.Fields(tt.args), os.Stdin, outW, errW)
		if got := text(t, errR, errW); code != tt.code || got != name()+": "+tt.err {
			t.Errorf("master %s: exit code %d, %q\nwant %d, %q", tt.args, code, got, tt.code, tt.err)
		}
		if got := text(t, outR, outW); got != "" {
			t.Errorf("master %s: standard output %q", tt.args, got)
		}
	}
}

func TestInfo(t *testing.T) {
	dir := t.TempDir()
	for args, want := range map[string]string{
		"--version": "phalanx " + options.Version + "\n", "--help": "Usage: master",
		"--check --base " + dir + " --worker /bin/true": "the options are valid; the document root is " + dir + "\n",
		"--check --hsts 1h --base " + dir + " --worker /bin/true": "the options are valid; the document root is " + dir +
			"; but --hsts: browsers obey it over HTTPS only, and no address uses HTTPS; add --listen https://:443, or name the proxy that terminates TLS with --trusted-proxies, unless systemd passes a socket for HTTPS\n",
		"explain --base " + dir + " /":                                                                       "Document root\n  " + dir + "\n\nRequest\n  GET / HTTP/1.1\n",
		"explain --base " + dir + " --listen https://:8443 --tls-self-signed /":                              "Document root\n  " + dir + "\n\nRequest\n  GET / HTTP/2\n",
		"explain --base " + dir + " --listen https://:8443 --tls-self-signed --http2 off https://localhost/": "Document root\n  " + dir + "\n\nRequest\n  GET / HTTP/1.1\n",
	} {
		outR, outW := output(t)
		errR, errW := output(t)
		code := run(strings.Fields(args), os.Stdin, outW, errW)
		out, errors := text(t, outR, outW), text(t, errR, errW)
		if code != 0 || !strings.HasPrefix(out, want) || errors != "" {
			t.Errorf("master %s: exit code %d, %q, %q", args, code, out, errors)
		}
	}
}

// A sample config file or a completion that is redirected to a full disk is an error.
func TestInfoOnFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"config", "--sample"}, {"completion", "bash"}, {"man"}, {"--version"}} {
		r, stderr := output(t)
		if code := run(args, os.Stdin, full, stderr); code != 1 {
			t.Errorf("%q: exit code %d, want 1", args, code)
		}
		if got, want := text(t, r, stderr), name()+": write /dev/full: no space left on device\n"; got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}

// start runs a master whose workers are this test binary.
func start(t *testing.T, stderr *os.File, args ...string) <-chan int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, stdout := output(t)
	code := make(chan int, 1)
	go func() {
		code <- run(append(args, "--port=0", "--workers=2", "--rescue=off", "--worker="+self), os.Stdin, stdout, stderr)
	}()
	return code
}

func TestServingLine(t *testing.T) {
	r, w := output(t)
	code := start(t, w, "-v", "--base=.")
	lines := bufio.NewScanner(r)
	var serving struct {
		Message, URL, Base, Model string
		Port, Workers             int
	}
	for serving.Message != "serving" && lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &serving); err != nil {
			t.Fatalf("%v in %q", err, lines.Text())
		}
	}
	base, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://localhost:" + strconv.Itoa(serving.Port) + "/"
	if serving.URL != url || serving.Port == 0 || serving.Base != base || serving.Model != "process" || serving.Workers != 2 {
		t.Errorf("%+v", serving)
	}
	interrupt(t)
	for lines.Scan() && !strings.Contains(lines.Text(), `"stopped"`) {
	}
	if c := <-code; c != 0 {
		t.Errorf("exit code %d", c)
	}
}

// The test binary is the master here: the signal is for itself.
func interrupt(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

func TestFindWorker(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(self), "worker")
	if err := os.WriteFile(beside, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(beside)
	if got, err := findWorker(""); err != nil || filepath.Base(got) != "worker" || filepath.Dir(got) != filepath.Dir(self) {
		t.Errorf("beside master: %q, %v", got, err)
	}
	t.Chdir(filepath.Dir(self))
	if got, err := findWorker("worker"); err != nil || !filepath.IsAbs(got) {
		t.Errorf("a relative path: %q, %v", got, err)
	}
}

// In silent mode a message is a line in the format of the log.
func TestAlerts(t *testing.T) {
	for format, want := range map[string]string{
		logging.Console: `^phalanx: worker "0" died\n$`,
		logging.JSON:    `^{"level":"warn","time":"[^"]+","message":"worker \\"0\\" died"}\n$`,
	} {
		r, w := output(t)
		alerts := logging.Alerts(w, format, logging.Options{})
		alerts.Warn().Msg(`worker "0" died`)
		if got := text(t, r, w); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q, want %s", format, got, want)
		}
	}
}

// A directory may be named like a process that the master starts itself: its completion starts nothing.
func TestCompletionStartsNoHelper(t *testing.T) {
	t.Setenv("GO_FLAGS_COMPLETION", "1")
	t.Chdir(t.TempDir())
	for _, name := range []string{"readme", "helper"} {
		if err := os.Mkdir(name+"-site", 0o755); err != nil {
			t.Fatal(err)
		}
		terminal, _ := output(t) // never at its end
		_, w := output(t)
		done := make(chan error, 1)
		go func() { done <- do([]string{name}, terminal, w, w) }()
		select {
		case err := <-done:
			info, ok := errors.AsType[*options.Info](err)
			if !ok || info.Text != name+"-site/\n" {
				t.Errorf("%s: %v, want the completion %s-site/", name, err, name)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: still running", name)
		}
	}
}
