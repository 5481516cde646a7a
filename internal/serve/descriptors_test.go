package serve_test

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// Out of descriptors, accepting pauses without spinning, and later continues.
func TestOutOfDescriptors(t *testing.T) {
	outOfDescriptors(t, []string{"200"}, func(*servetest.Server) {})
}

// A drain that begins meanwhile, and finds descriptors only after the time for connections on
// their way, still answers those in the accept queue: with 200, or with 503 if the descriptor of
// the idle connection is free for one but none is for its file.
func TestDrainOutOfDescriptors(t *testing.T) {
	outOfDescriptors(t, []string{"200", "503"}, func(s *servetest.Server) { s.Order(serve.Drain{}) })
}

func outOfDescriptors(t *testing.T, statuses []string, meanwhile func(s *servetest.Server)) {
	t.Helper()
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		var pauses atomic.Int64
		count := zerolog.HookFunc(func(*zerolog.Event, zerolog.Level, string) { pauses.Add(1) })
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) { cfg.Log = zerolog.New(io.Discard).Hook(count) })
		first := s.Dial()
		servetest.Send(t, first, servetest.Get("/f")) // its response shows that the engine runs
		servetest.Receive(t, bufio.NewReader(first))

		// Descriptors for the clients' own sockets, and no more.
		sockets := make([]int, 10)
		for i := range sockets {
			var err error
			if sockets[i], err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
				t.Fatal(err)
			}
			defer unix.Close(sockets[i])
		}
		restore := systest.FullTable(t, 0)
		defer restore()
		port := first.RemoteAddr().(*net.TCPAddr).Port
		began := time.Now()
		for _, fd := range sockets {
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				t.Fatal(err)
			}
			unix.Write(fd, []byte(servetest.Get("/f", "Connection: close")))
		}
		systest.Await(t, "a pause", func() bool { return pauses.Load() > 0 })
		meanwhile(s)
		time.Sleep(serve.QuietMax + 3*serve.AcceptPause)
		if n, most := pauses.Load(), 3+time.Since(began)/serve.AcceptPause; n > int64(most) {
			t.Errorf("%d pauses, want at most %d", n, most)
		}
		restore()
		for _, fd := range sockets {
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60})
			var reply [4096]byte
			n, err := unix.Read(fd, reply[:])
			for err == unix.EINTR { // by Go's preemption signal, for example
				n, err = unix.Read(fd, reply[:])
			}
			answer := string(reply[:max(n, 0)])
			if !slices.ContainsFunc(statuses, func(status string) bool { return strings.HasPrefix(answer, "HTTP/1.1 "+status+" ") }) {
				t.Errorf("response %.200q, error %v; want %v", answer, err, statuses)
			}
		}
		first.Close()
		s.Stop()
	})
}
