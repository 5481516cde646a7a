package rescue

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connected returns both ends of a TCP connection, the server's as a non-blocking descriptor.
func connected(t *testing.T) (server int, client *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	file, err := accepted.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd); c.Close() })
	if err := errors.Join(unix.SetNonblock(fd, true), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)); err != nil {
		t.Fatal(err)
	}
	return fd, c.(*net.TCPConn)
}

func wantCount(t *testing.T, what string, fd int, received, sent uint64) {
	t.Helper()
	r, s, err := Count(fd)
	if r != received || s != sent || err != nil {
		t.Errorf("%s: counted %d received and %d sent, %v; want %d and %d", what, r, s, err, received, sent)
	}
}

// readable waits until there is something to receive, or EOF.
func readable(t *testing.T, fd, n int) {
	t.Helper()
	for range 20_000 {
		unread, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		if unread >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d bytes did not arrive", n)
}

func TestCount(t *testing.T) {
	fd, client := connected(t)
	wantCount(t, "accepted", fd, 0, 0)
	client.Write(make([]byte, 100))
	readable(t, fd, 100)
	wantCount(t, "unread", fd, 0, 0)
	buf := make([]byte, 1<<20)
	n, _ := unix.Read(fd, buf[:60])
	wantCount(t, "read in part", fd, uint64(n), 0)
	n, _ = unix.Write(fd, buf[:5000])
	wantCount(t, "written", fd, 60, uint64(n))
	sent := uint64(n)
	for {
		n, err := unix.Write(fd, buf)
		if err != nil {
			break
		}
		sent += uint64(n)
	}
	wantCount(t, "full", fd, 60, sent)
	client.CloseWrite()
	for _, c := look(fd); c == nil; _, c = look(fd) {
		if l, _ := look(fd); l.state == tcpCloseWait {
			break
		}
	}
	wantCount(t, "half closed, unread", fd, 60, sent)
	unix.Read(fd, buf)
	wantCount(t, "half closed, read", fd, 100, sent)
	unix.Read(fd, buf)
	wantCount(t, "its end read", fd, 100, sent)
	unix.Shutdown(fd, unix.SHUT_WR)
	wantCount(t, "own end queued", fd, 100, sent)
}

func TestCountOwnEnd(t *testing.T) {
	fd, client := connected(t)
	unix.Write(fd, make([]byte, 10))
	unix.Shutdown(fd, unix.SHUT_WR)
	wantCount(t, "own end sent", fd, 0, 10)
	for range 20_000 {
		if l, err := look(fd); err != nil || l.state == tcpFinWait2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	wantCount(t, "own end acknowledged", fd, 0, 10)
	client.Write(make([]byte, 7))
	readable(t, fd, 7)
	wantCount(t, "unread behind the own end", fd, 0, 10)
}

func TestCountReset(t *testing.T) {
	fd, client := connected(t)
	client.SetLinger(0)
	client.Close()
	for range 20_000 {
		if _, _, err := Count(fd); errors.Is(err, ErrReset) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("a reset was not noticed")
}

func TestCountNoSocket(t *testing.T) {
	if _, _, err := Count(int(os.Stdout.Fd()) + 1000); err == nil {
		t.Error("no descriptor was counted")
	}
}

// While a client reads and sends at random, each count is exact.
func TestCountUnderTraffic(t *testing.T) {
	fd, client := connected(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			if n, err := client.Read(buf); n == 0 || err != nil {
				return
			}
			client.Write(buf[:100])
		}
	}()
	var received, sent uint64
	buf := make([]byte, 300<<10)
	for range 3000 {
		if n, err := unix.Write(fd, buf[:rand.IntN(len(buf))+1]); err == nil {
			sent += uint64(n)
		}
		if n, err := unix.Read(fd, buf[:rand.IntN(2000)+1]); err == nil {
			received += uint64(n)
		}
		r, s, err := Count(fd)
		if r != received || s != sent || err != nil {
			t.Fatalf("counted %d received and %d sent, %v; want %d and %d", r, s, err, received, sent)
		}
	}
	client.Close()
	<-done
}
