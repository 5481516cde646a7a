package admin

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/observe/address"
	"phalanx/internal/unixsocket"
)

func listen(t *testing.T, addr string) *Listener {
	t.Helper()
	l, err := Listen(address.Address(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// refused expects an error of one line that begins with the address.
func refused(t *testing.T, addr string, code int, words string) {
	t.Helper()
	l, err := Listen(address.Address(addr))
	if err == nil {
		l.Close()
		t.Errorf("%q is listened on", addr)
		return
	}
	if exitcode.Code(err) != code || !strings.HasPrefix(err.Error(), "--admin ") ||
		!strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q: %d, %q, want %d and %q", addr, exitcode.Code(err), err, code, words)
	}
}

// stale creates a socket file as a killed server leaves it.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func reachable(network, where string) bool {
	c, err := net.DialTimeout(network, where, time.Minute)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func TestUnusableAddresses(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		addr  string
		code  int
		words string
	}{
		{filepath.Join(dir, "none", "s"), 78, "directory " + filepath.Join(dir, "none") + " does not exist; create it"},
		{"203.0.113.1:9180", 78, "not an address of this machine"},
		{"no-such-host.invalid:9180", 78, "no-such-host.invalid"},
	} {
		refused(t, test.addr, test.code, test.words)
	}
}

func TestAddressInUse(t *testing.T) {
	tcp := listen(t, "127.0.0.1:0").Addr().String()
	refused(t, tcp, 1, "--admin "+tcp+": in use by another server; stop it or choose another")
	path := filepath.Join(t.TempDir(), "x.sock")
	listen(t, path)
	refused(t, path, 1, "--admin "+path+": already in use by another server; stop it or choose another")
	if !reachable("unix", path) {
		t.Error("the first server is no longer reachable")
	}
}

// A datagram socket refuses a stream, although it is in use.
func TestDatagramSocketInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	refused(t, path, 1, "in use by another server")
}

func TestForeignFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	file, fifo, link, sub := filepath.Join(dir, "file"), filepath.Join(dir, "fifo"), filepath.Join(dir, "link"), filepath.Join(dir, "sub")
	stale(t, filepath.Join(dir, "target"))
	if err := errors.Join(os.WriteFile(file, []byte("mine"), 0o644), unix.Mkfifo(fifo, 0o644), os.Symlink("target", link), os.Mkdir(sub, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, fifo, link, sub} {
		refused(t, path, 78, "the file exists and is not a socket; remove it or choose another path")
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file is %q, error %v; want it unchanged", text, err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	stale(t, path)
	listen(t, path)
	if !reachable("unix", path) {
		t.Error("no server listens")
	}
}

// Of servers that start at the same time exactly one succeeds, and stays reachable.
func TestOneOfManyWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	for range 20 {
		stale(t, path)
		var wg sync.WaitGroup
		winners := make(chan net.Listener, 8) // one for each that tries
		for range cap(winners) {
			wg.Go(func() {
				l, err := Listen(address.Address(path))
				if err == nil {
					winners <- l
				} else if !errors.Is(err, unixsocket.ErrInUse) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 || !reachable("unix", path) {
			t.Fatalf("%d listen, reachable: %v", len(winners), reachable("unix", path))
		}
		(<-winners).Close()
	}
}

// The file has its mode from the beginning: inotify would report a later change (IN_ATTRIB),
// even before anybody could connect.
func TestSocketIsPrivateFromTheBeginning(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	dir := t.TempDir()
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watch)
	if _, err := unix.InotifyAddWatch(watch, dir, unix.IN_CREATE|unix.IN_ATTRIB|unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.sock")
	listen(t, path)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	var buf [4096]byte
	n, err := unix.Read(watch, buf[:])
	if err != nil {
		t.Fatal(err)
	}
	if mask := uint32(buf[4]) | uint32(buf[5])<<8; mask != unix.IN_CREATE || n != unix.SizeofInotifyEvent+16 {
		t.Errorf("%d bytes of events, the first with mask %#x, want the creation only", n, mask)
	}
}

func TestCloseRemovesTheFile(t *testing.T) {
	for _, name := range []string{"x.sock", "@x.sock"} {
		t.Chdir(t.TempDir())
		l := listen(t, "./"+name)
		if name[0] == '@' {
			l.Close()
			if err := os.Mkdir("@", 0o700); err != nil {
				t.Fatal(err)
			}
			name = "@/x.sock"
			l = listen(t, name)
		}
		if _, err := os.Lstat(name); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s still exists: %v", name, err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	}
}

// A file of another process in place of this server's file is kept.
func TestCloseLeavesAnothersFile(t *testing.T) {
	dir := t.TempDir()
	socket, file := filepath.Join(dir, "socket"), filepath.Join(dir, "file")
	first, second := listen(t, socket), listen(t, file)
	if err := errors.Join(os.Remove(socket), os.Remove(file), os.WriteFile(file, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	listen(t, socket)
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(file); err != nil || !reachable("unix", socket) {
		t.Errorf("one of the files is missing: %v", err)
	}
}

// Close ends a blocked Accept, even if another process has a copy of the socket.
func TestCloseWakesAccept(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", filepath.Join(t.TempDir(), "x.sock")} {
		l := listen(t, addr)
		fd, err := l.Descriptor()
		if err != nil {
			t.Fatal(err)
		}
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", addr, err)
		}
		if l.Addr().Network() == "unix" && reachable("unix", addr) {
			t.Error("the copy accepts connections")
		}
		unix.Close(copied)
	}
}

func TestInheritRefusesOtherDescriptors(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	for _, fd := range []int{pair[0], -1} {
		if _, err := Inherit(fd); err == nil || !strings.HasPrefix(err.Error(), "inherit the admin socket, descriptor ") {
			t.Errorf("descriptor %d: %v", fd, err)
		}
	}
}
