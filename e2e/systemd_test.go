package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNotify plays systemd: it hears when the server serves, reloads, lives and
// stops (sd_notify(3)).
func TestNotify(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	path := filepath.Join(openDir(t), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := launch(t, plan{args: verbosely(base), env: []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=1000000"}})
	buf := make([]byte, 4096)
	hear := func(want string) {
		t.Helper()
		if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := l.Read(buf)
			if err != nil {
				t.Fatalf("no %s: %v", want, err)
			}
			if said := string(buf[:n]); strings.HasPrefix(said, want) {
				return
			} else if said != "WATCHDOG=1" {
				t.Fatalf("systemd hears %q, want %s", said, want)
			}
		}
	}
	hear("READY=1")
	s.awaitServing()
	hear("WATCHDOG=1")
	s.signal(syscall.SIGHUP)
	hear("RELOADING=1\nMONOTONIC_USEC=")
	hear("READY=1")
	hear("WATCHDOG=1")
	s.interrupt()
	hear("STOPPING=1")
	if code := s.wait(5 * time.Second); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSocketActivation starts the server with a socket that listens already and
// in whose queue a client waits.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l.Close()
	early, err := connect(port)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if err := early.send(request("GET", "/", "Connection: close")); err != nil {
		t.Fatal(err)
	}
	s := launch(t, plan{
		before: []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh"},
		args:   append(verbosely(base), "--workers", "3"),
		files:  []*os.File{f},
	})
	s.awaitServing()
	if s.port != port {
		t.Fatalf("it serves on port %d, want %d", s.port, port)
	}
	f.Close()
	if r, err := early.reply("GET"); err != nil || string(r.body) != "front" {
		t.Errorf("the client that waited: %v, %v", r, err)
	}
	for range 20 {
		s.mustServe("/", "front")
	}
	s.stop(5 * time.Second)
}
