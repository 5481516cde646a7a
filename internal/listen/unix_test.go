package listen

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/systest"
)

// local returns the address of a unix socket in a directory of the test.
func local(t *testing.T) Address {
	t.Helper()
	return Address{Path: filepath.Join(t.TempDir(), "http.sock"), Mode: DefaultMode}
}

// connects reports whether a process listens on a unix socket.
func connects(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// The file of a unix socket has its mode whatever the umask is, at no time more, and is
// removed with the set. All slots share the one socket.
func TestUnix(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	for _, mode := range []fs.FileMode{DefaultMode, 0o600, 0o666} {
		a := local(t)
		a.Mode = mode
		s := mustOpen(t, a, 3)
		info, err := os.Lstat(a.Path)
		if err != nil || info.Mode() != fs.ModeSocket|mode {
			t.Errorf("mode %v, %v, want %v", info.Mode(), err, mode)
		}
		if mask := unix.Umask(0o077); mask != 0o077 {
			t.Errorf("the umask is %#o", mask)
		}
		if !connects(a.Path) || s.Addresses()[0] != a {
			t.Errorf("not at %v", a)
		}
		for slot := range 3 {
			socket := s.Sockets(slot)[0]
			if !socket.Shared || socket.Foreign || socket.Secure || !same(socket.File, s.files[0]) {
				t.Errorf("slot %d has %+v", slot, socket)
			}
		}
		if slot, err := s.Grow(); slot != 3 || err != nil {
			t.Errorf("slot %d, %v", slot, err)
		}
		for range 3 {
			if err := s.Shrink(); err != nil {
				t.Error(err)
			}
		}
		if err := s.Steer([]int{0}); err != nil || !connects(a.Path) {
			t.Errorf("with one slot left: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(a.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file still exists: %v", err)
		}
	}
}

// A second server is refused, in whatever form its path is given. The socket file of a killed
// server is replaced. A file that is not a socket is not.
func TestUnixGuard(t *testing.T) {
	a := local(t)
	refused := func(a Address, code int, want string) {
		t.Helper()
		s, err := try(a, 2)
		if err == nil {
			s.Close()
			t.Fatalf("a second server listens on %v", a)
		}
		if exitcode.Code(err) != code || err.Error() != "--listen "+a.String()+": "+want {
			t.Errorf("%v: %v", a, err)
		}
	}
	first := mustOpen(t, a, 2)
	refused(a, 1, "already in use by another server; stop it or choose another path")
	other := a
	other.Path = filepath.Dir(a.Path) + "/./http.sock"
	refused(other, 1, "already in use by another server; stop it or choose another path")
	if !connects(a.Path) {
		t.Error("the first server is no longer reachable")
	}
	first.Close()
	// A server that was killed.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.Path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	mustOpen(t, a, 1).Close()
	if err := os.WriteFile(a.Path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(a, 78, "the file exists and is not a socket; remove it or choose another path")
	if text, err := os.ReadFile(a.Path); string(text) != "mine" || err != nil {
		t.Errorf("the file has %q, %v", text, err)
	}
	dir := filepath.Join(filepath.Dir(a.Path), "none")
	a.Path = dir + "/http.sock"
	refused(a, 78, "directory "+dir+" does not exist; create it or choose another path")
}

// The file of another server is never removed.
func TestUnixReplaced(t *testing.T) {
	a := local(t)
	s := mustOpen(t, a, 1)
	if err := os.Remove(a.Path); err != nil {
		t.Fatal(err)
	}
	next := mustOpen(t, a, 1)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !connects(a.Path) {
		t.Error("the file of the next server is gone")
	}
	next.Close()
}

// Refusing connections removes the file, and keeps the connections in the accept queue.
func TestUnixRefuseNew(t *testing.T) {
	a := local(t)
	s := mustOpen(t, a, 2)
	c, err := net.Dial("unix", a.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if refusing(s, 2) != 0 {
		t.Error("refusing before RefuseNew")
	}
	if err := s.RefuseNew(); err != nil {
		t.Fatal(err)
	}
	if connects(a.Path) || refusing(s, 2) != 2 {
		t.Error("not refusing")
	}
	fd := acceptAny(t, s)
	defer unix.Close(fd)
	unix.Write(fd, []byte("y"))
	if n, err := c.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// An upgrade preserves the set with its file. A set whose file was replaced meanwhile does not
// remove the new one.
func TestUnixInherit(t *testing.T) {
	a := local(t)
	s := mustOpen(t, a, 2)
	again, err := Inherit(copied(t, s.Set))
	if err != nil {
		t.Fatal(err)
	}
	s.all[0].file = fileID{} // that program is no more
	s.Close()
	if got := again.Addresses(); len(got) != 1 || got[0] != a || !connects(a.Path) {
		t.Errorf("the set listens on %v", got)
	}
	if slot, err := again.Grow(); slot != 2 || err != nil {
		t.Errorf("slot %d, %v", slot, err)
	}
	if err := again.Close(); err != nil || connects(a.Path) {
		t.Errorf("the set still listens; %v", err)
	}
	if _, err := os.Lstat(a.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file still exists: %v", err)
	}
}

// A unix socket from systemd is shared by all slots, and its file belongs to systemd.
func TestUnixActivated(t *testing.T) {
	a := local(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.Path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := mustActivate(t, fd, 2)
	for slot := range 2 {
		if socket := s.Sockets(slot)[0]; !socket.Shared || !socket.Foreign {
			t.Errorf("slot %d has %+v", slot, socket)
		}
	}
	if err := errors.Join(s.RefuseNew(), s.Close()); err != nil || Refusing(int(f.Fd())) || !connects(a.Path) {
		t.Errorf("the next server cannot be reached; %v", err)
	}
	secure, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(Config{Slots: 1, Passed: []Passed{{FD: secure, Secure: true}}})
	if err == nil || !strings.Contains(err.Error(), "a unix socket is for plain HTTP") {
		t.Errorf("for https: %v", err)
	}
}

// A set listens on all of its addresses or on none, and each address has its own queues.
func TestSeveralAddresses(t *testing.T) {
	path := local(t)
	taken := mustOpen(t, Address{Host: "127.0.0.1"}, 1)
	all := []Address{{Host: "127.0.0.1"}, {Host: "127.0.0.2", Secure: true}, path}
	if _, err := Open(Config{Slots: 2, Addresses: append(all[:3:3], Address{Host: "127.0.0.1", Port: taken.Port})}); err == nil {
		t.Error("the last address is taken")
	}
	if connects(path.Path) {
		t.Error("the set still listens on an address")
	}
	s, err := Open(Config{Slots: 2, Addresses: all})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := s.Addresses()
	if len(got) != 3 || got[0].Port == 0 || got[1].Port == 0 || !got[1].Secure || got[2] != path {
		t.Fatalf("the set listens on %v", got)
	}
	for i, a := range got[:2] {
		if err := s.Steer([]int{1 - i}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			dial(t, a.Host, a.Port)
		}
		waits := func() bool { n, most := s.Queue(1 - i); return n == 5 && most > 5 }
		systest.Await(t, "five connections in the queue", waits)
	}
	if err := s.Shrink(); err != nil {
		t.Fatal(err)
	}
	if n, most := s.Queue(1); n != 0 || most != 0 {
		t.Errorf("a closed slot has a queue of %d, %d", n, most)
	}
	if slot, err := s.Grow(); slot != 1 || err != nil {
		t.Errorf("slot %d, %v", slot, err)
	}
}

// Of several accept queues, the fullest is shown: clients cannot connect if one is full.
func TestFullestQueue(t *testing.T) {
	s, err := Open(Config{Slots: 1, Addresses: []Address{{Host: "127.0.0.1"}, {Host: "127.0.0.2"}, local(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, n := range []int{2, 5} {
		for range n {
			dial(t, s.Addresses()[i].Host, s.Addresses()[i].Port)
		}
	}
	systest.Await(t, "five connections in the queue", func() bool { n, _ := s.all[1].queue(0); return n == 5 })
	_, limit := s.all[1].queue(0)
	if n, most := s.Queue(0); n != 5 || most != limit {
		t.Errorf("%d of %d wait, want 5 of %d", n, most, limit)
	}
}

// The queue of a unix socket is that of its first slot.
func TestUnixQueue(t *testing.T) {
	s := mustOpen(t, local(t), 2)
	for range 3 {
		c, err := net.Dial("unix", s.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, _, err := unixQueue(s.files[0]); err != nil {
		t.Skipf("this machine does not tell the queue of a unix socket: %v", err)
	}
	if n, most := s.Queue(0); n != 3 || most < 3 {
		t.Errorf("%d of %d wait", n, most)
	}
	if n, most := s.Queue(1); n != 0 || most != 0 {
		t.Errorf("%d of %d wait at the second slot", n, most)
	}
}

// A truncated reply of the kernel is an error.
func TestDiagReply(t *testing.T) {
	whole := make([]byte, diagHeader+diagMessage)
	binary.NativeEndian.PutUint16(whole[4:], unix.SOCK_DIAG_BY_FAMILY)
	for _, n := range []uint16{5, 9} { // another attribute, of one byte and three to align
		whole = binary.NativeEndian.AppendUint16(whole, n)
	}
	whole = append(whole, 1, 0, 0, 0)
	whole = binary.NativeEndian.AppendUint16(whole, 12)
	whole = binary.NativeEndian.AppendUint16(whole, diagQueue)
	whole = binary.NativeEndian.AppendUint32(whole, 3)
	whole = binary.NativeEndian.AppendUint32(whole, 7)
	if n, most, err := diagReply(whole); n != 3 || most != 7 || err != nil {
		t.Errorf("%d of %d, %v", n, most, err)
	}
	for cut := range whole {
		if n, _, err := diagReply(whole[:cut]); err == nil {
			t.Errorf("the first %d bytes: %d wait", cut, n)
		}
	}
}
