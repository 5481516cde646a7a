package serve_test

import (
	"bufio"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// local is a unix socket that several workers share.
type local struct {
	t    *testing.T
	path string
	fd   int
}

func newLocal(t *testing.T) *local {
	t.Helper()
	s := &local{t: t, path: filepath.Join(t.TempDir(), "socket")}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { s.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

// worker starts a worker that accepts from the socket.
func (s *local) worker(dir string, run servetest.Run) *servetest.Server {
	s.t.Helper()
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	w := servetest.At(s.t, s.path)
	w.ServeAll(dir, []serve.Listener{{FD: fd, Shared: true}}, run, nil)
	return w
}

// client sends a request on a connection of its own.
func (s *local) client() net.Conn {
	s.t.Helper()
	c, err := net.Dial("unix", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	servetest.Send(s.t, c, servetest.Get("/f", "Connection: close"))
	return c
}

func (s *local) served(c net.Conn) {
	s.t.Helper()
	if res, body := servetest.Receive(s.t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
		s.t.Errorf("%s, %d bytes; want 200 with 10", res.Status, len(body))
	}
	c.Close()
}

// Workers share a unix socket. One that is replaced, or whose slot is closed, leaves the accept queue to the
// others at once; the last one serves what is in it.
func TestSharedListener(t *testing.T) {
	dir := withFile(t, 10)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		s := newLocal(t)
		first, second, third := s.worker(dir, run), s.worker(dir, run), s.worker(dir, run)
		for range 20 {
			s.served(s.client())
		}
		for _, leaving := range []struct {
			w   *servetest.Server
			how serve.Drain
		}{{first, serve.Drain{Kept: true}}, {second, serve.Drain{Steered: true}}} {
			var waiting []net.Conn
			for range 10 {
				waiting = append(waiting, s.client())
			}
			began := time.Now()
			leaving.w.Order(leaving.how)
			leaving.w.Wait()
			if took := time.Since(began); took > serve.Deferred/2 {
				t.Errorf("%+v: the drain took %v", leaving.how, took)
			}
			for _, c := range waiting {
				s.served(c)
			}
		}
		var waiting []net.Conn
		for range 10 {
			waiting = append(waiting, s.client())
		}
		third.Order(serve.Drain{})
		for _, c := range waiting {
			s.served(c)
		}
		third.Wait()
	})
}

// A connection is accepted even if the kernel has woken another process for it, which does not accept it.
func TestLostWakeUp(t *testing.T) {
	dir := withFile(t, 10)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		s := newLocal(t)
		epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(epoll)
		// The kernel wakes the first waiting process only.
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE})
		if err != nil {
			t.Fatal(err)
		}
		w := s.worker(dir, run)
		s.served(s.client()) // so the engine runs
		woken := make(chan struct{})
		go func() {
			defer close(woken)
			for range 2 { // an earlier connection may cause the first
				unix.EpollWait(epoll, make([]unix.EpollEvent, 1), 1000)
			}
		}()
		for range 3 {
			s.served(s.client())
		}
		<-woken
		w.Stop()
	})
}

// A foreign socket and its accept queue are left to other processes when the last worker drains.
func TestForeignListener(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		own, addr := servetest.Listen(t)
		foreign, other := servetest.Listen(t)
		kept, err := unix.FcntlInt(uintptr(foreign), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := servetest.At(t, addr)
		s.ServeAll(dir, []serve.Listener{{FD: foreign, Foreign: true}, {FD: own}}, run, nil)
		for _, where := range []*servetest.Server{s, servetest.At(t, other)} {
			c := where.DialWith(servetest.Get("/f", "Connection: close"))
			if res, _ := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 {
				t.Errorf("%s: %s", where.Addr, res.Status)
			}
		}
		s.Stop()
		s.UntilRefused()
		next := servetest.StartOn(t, dir, kept, other, run, nil)
		c := next.DialWith(servetest.Get("/f", "Connection: close"))
		if res, _ := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 {
			t.Errorf("the next server: %s, want 200", res.Status)
		}
		next.Stop()
	})
}

// Clients of a unix socket cannot be refused: the last worker ends even if they never stop connecting.
func TestUnixSocketCrowdDuringDrain(t *testing.T) {
	dir := t.TempDir()
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		s := newLocal(t)
		w := s.worker(dir, run)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if c, err := net.Dial("unix", s.path); err == nil {
							c.Close()
						}
					}
				}
			})
		}
		w.Stop()
		close(stop)
		wg.Wait()
	})
}

// Clients of the plain HTTP port are redirected to HTTPS, those of the unix socket, such as proxies, are not.
func TestUnixSocketIsNotRedirected(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		s := newLocal(t)
		fd, addr := servetest.Listen(t)
		shared, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		w := servetest.At(t, addr)
		w.ServeAll(dir, []serve.Listener{{FD: fd}, {FD: shared, Shared: true}}, run, func(cfg *serve.Config) { cfg.Conn.SecurePort = 443 })
		s.served(s.client())
		c := w.DialWith(servetest.Get("/f", "Connection: close"))
		if res, _ := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 308 {
			t.Errorf("plain HTTP: %s, want 308", res.Status)
		}
		w.Stop()
	})
}
