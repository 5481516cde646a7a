package eventloop

import (
	"bufio"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// foreign returns descriptors that are neither connections nor files that can be sent, by name. Some are the other
// ends of others.
func foreign(t *testing.T) (all map[string]int) {
	t.Helper()
	all = map[string]int{}
	add := func(name string, fd int, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(name, err)
		}
		all[name] = fd
		t.Cleanup(func() { unix.Close(fd) })
	}
	fifo := t.TempDir() + "/fifo"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(fifo, unix.O_RDWR|unix.O_CLOEXEC, 0)
	add("a FIFO", fd, err)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	add("a local socket of messages", pair[0], err)
	add("its other end", pair[1], err)
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	add("a UDP socket", fd, err)
	fd, _ = servetest.Listen(t)
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	add("a listening socket", fd, nil)
	fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC)
	add("an eventfd", fd, err)
	fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	add("an epoll instance", fd, err)
	fd, err = unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	add("a directory", fd, err)
	fd, err = unix.Open(os.Args[0], unix.O_PATH|unix.O_CLOEXEC, 0)
	add("a path", fd, err)
	fd, err = unix.Open(t.TempDir()+"/file", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	add("a write-only file", fd, err)
	return all
}

// blocking returns a connection in blocking mode, with SO_LINGER, and its client.
func blocking(t *testing.T) (fd int, client *net.TCPConn) {
	t.Helper()
	l, addr := servetest.Listen(t)
	defer unix.Close(l)
	if err := unix.SetNonblock(l, false); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	if fd, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd); c.Close() })
	return fd, c.(*net.TCPConn)
}

// Descriptors that a compromised worker hands over instead of connections and files are closed, and the worker that
// takes over keeps serving.
func TestForeignDescriptors(t *testing.T) {
	l := newLoops(t)
	from, to := newHandover(t)
	l.last.Order(serve.TakeOver{FD: to})
	idle := conn.AppendState(nil, conn.Remains{})
	sending := conn.AppendState(nil, conn.Remains{Rest: 1 << 40})
	socket, client := blocking(t)
	for name, fd := range foreign(t) {
		if checkForeign(fd, -1) == nil || checkForeign(socket, fd) == nil {
			t.Errorf("%s is accepted as a connection or a file", name)
		}
		if err := ipc.SendConnection(from, idle, fd, -1); err != nil {
			t.Fatal(name, err)
		}
		if err := ipc.SendConnection(from, sending, socket, fd); err != nil {
			t.Fatal(name, err)
		}
		c := l.client()
		c.ask()
		c.Close()
	}
	client.Close()
	unix.Close(from)
	l.last.Stop()
}

// A connection that is handed over in blocking mode does not block the loop.
func TestBlockingConnectionTakenOver(t *testing.T) {
	l := newLoops(t)
	from, to := newHandover(t)
	l.last.Order(serve.TakeOver{FD: to})
	socket, client := blocking(t)
	if err := ipc.SendConnection(from, conn.AppendState(nil, conn.Remains{Held: []byte("GET /sm")}), socket, -1); err != nil {
		t.Fatal(err)
	}
	unix.Close(from)
	c := l.client()
	c.ask()
	servetest.Send(t, client, "all HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, body := servetest.Receive(t, bufio.NewReader(client)); res.StatusCode != 200 || len(body) != len(l.small) {
		t.Errorf("%s, %d bytes; want 200 with the file", res.Status, len(body))
	}
	if linger, err := unix.GetsockoptLinger(socket, unix.SOL_SOCKET, unix.SO_LINGER); err != nil || linger.Onoff != 0 {
		t.Errorf("SO_LINGER is %+v, error %v; want it off", linger, err)
	}
	c.ask()
	c.Close()
	client.Close()
	l.last.Stop()
}
