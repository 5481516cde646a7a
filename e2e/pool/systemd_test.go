package pool

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// notifySocket opens a socket for notifications of sd_notify(3).
func notifySocket(t *testing.T) (l *net.UnixConn, path string) {
	t.Helper()
	path = filepath.Join(harness.OpenDir(t), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

// TestNotifySystemd receives the notifications of sd_notify(3) about the start, a reload, the watchdog and
// the stop, and the sockets for systemd's descriptor store.
func TestNotifySystemd(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	l, path := notifySocket(t)
	config := filepath.Join(harness.OpenDir(t), "phalanx.conf")
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure("")
	s := harness.Launch(t, harness.Plan{Args: append(harness.Verbosely(base), "--workers", "2", "--config", config), Env: []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=1000000"}})
	buf, rights := make([]byte, 4096), make([]byte, 256)
	kept := map[string]bool{}
	hear := func(want string) {
		t.Helper()
		if err := l.SetReadDeadline(time.Now().Add(harness.InTime(10 * time.Second))); err != nil {
			t.Fatal(err)
		}
		for {
			n, with, _, _, err := l.ReadMsgUnix(buf, rights)
			if err != nil {
				t.Fatalf("no notification %s: %v", want, err)
			}
			if name, ok := strings.CutPrefix(string(buf[:n]), "FDSTORE=1\nFDNAME="); ok {
				kept[name] = with > 0
				continue
			}
			if notification := string(buf[:n]); strings.HasPrefix(notification, want) {
				return
			} else if notification != "WATCHDOG=1" {
				t.Fatalf("notification %q, want %s", notification, want)
			}
		}
	}
	hear("READY=1")
	s.AwaitServing()
	if want := map[string]bool{"phalanx-0-000": true, "phalanx-0-001": true}; !maps.Equal(kept, want) {
		t.Errorf("stored descriptors %v, want %v", kept, want)
	}
	hear("WATCHDOG=1")
	s.Signal(syscall.SIGHUP)
	hear("RELOADING=1\nMONOTONIC_USEC=")
	hear("READY=1\nSTATUS=serving")
	hear("WATCHDOG=1")
	configure("stat = 1\n")
	s.Signal(syscall.SIGHUP)
	hear("RELOADING=1\nMONOTONIC_USEC=")
	hear("READY=1\nSTATUS=reload failed: " + config + ":1: ")
	s.Interrupt()
	hear("STOPPING=1\nSTATUS=draining")
	s.MustExit(5 * time.Second)
}

// TestSocketActivation passes a listening socket to the server, with a client in its accept queue.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	f, url := harness.Listening(t, "127.0.0.1:0")
	early, err := (&listenAddress{url: url}).connect()
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if err := early.Send(harness.Request("GET", "/", "Connection: close")); err != nil {
		t.Fatal(err)
	}
	s := harness.Launch(t, harness.Plan{
		Before: []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh"},
		Args:   append(harness.Verbosely(base), "--workers", "3"),
		Files:  []*os.File{f},
	})
	s.AwaitServing()
	if got := "http://" + harness.Loopback(s.Port); got != url {
		t.Fatalf("the server serves %s, want %s", got, url)
	}
	f.Close()
	if r, err := early.Reply("GET"); err != nil || string(r.Body) != "front" {
		t.Errorf("the client in the accept queue: %v, error %v", r, err)
	}
	for range 20 {
		s.MustServe("/", "front")
	}
	s.Stop(5 * time.Second)
}

// TestKeptSocketNotNeeded passes the socket of an earlier server, as systemd's descriptor store does, to one
// with another address: it closes the socket, so that a client is refused there instead of waiting for ever.
func TestKeptSocketNotNeeded(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	kept, _ := harness.Listening(t, "127.0.0.1:0")
	info, err := kept.Stat()
	if err != nil {
		t.Fatal(err)
	}
	inode := strconv.FormatUint(info.Sys().(*syscall.Stat_t).Ino, 10)
	open := func() bool {
		t.Helper()
		table, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) > 9 && f[9] == inode {
				return true
			}
		}
		return false
	}
	s := harness.Launch(t, harness.Plan{
		Before: []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=phalanx-0-000 exec "$@"`, "sh"},
		Args:   append(harness.Verbosely(base), "--workers", "2"),
		Files:  []*os.File{kept},
	})
	// A look at the table may miss a socket while others are opened.
	harness.Await(t, 5*time.Second, "inode "+inode+" in the table of sockets", open)
	kept.Close() // now the server has the only copy
	s.AwaitServing()
	// A program that another test is just starting has a copy until its execve.
	harness.Await(t, 5*time.Second, "end of the socket", func() bool { return !open() })
	s.MustServe("/", "front")
	s.Stop(5 * time.Second)
}

// TestKeptSocketRenamed passes the socket that an earlier server has stored for its second address to one for
// which it is that of the first: it is removed from the descriptor store and stored again.
func TestKeptSocketRenamed(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	l, path := notifySocket(t)
	kept, url := harness.Listening(t, "127.0.0.1:0")
	s := harness.Launch(t, harness.Plan{
		Before: []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=phalanx-1-000 exec "$@"`, "sh"},
		Args:   []string{"--base", base, "--listen", url, "--workers", "1", "-v"},
		Env:    []string{"NOTIFY_SOCKET=" + path},
		Files:  []*os.File{kept},
	})
	if err := l.SetReadDeadline(time.Now().Add(harness.InTime(10 * time.Second))); err != nil {
		t.Fatal(err)
	}
	var all []string
	for buf := make([]byte, 4096); !slices.Contains(all, "READY=1"); {
		n, err := l.Read(buf)
		if err != nil {
			t.Fatalf("notifications %q, then %v", all, err)
		}
		all = append(all, string(buf[:n]))
	}
	removed, stored := slices.Index(all, "FDSTOREREMOVE=1\nFDNAME=phalanx-1-000"), slices.Index(all, "FDSTORE=1\nFDNAME=phalanx-0-000")
	if removed < 0 || stored < removed {
		t.Errorf("notifications %q", all)
	}
	s.AwaitServing()
	s.MustServe("/", "front")
	s.Stop(5 * time.Second)
}
