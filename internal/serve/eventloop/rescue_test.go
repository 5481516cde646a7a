package eventloop

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// relay is a connection that is served by one loop after another. Each loop is forgotten at any point, with
// everything except its records.
type relay struct {
	t      *testing.T
	cfg    serve.Config
	fds    int // number of descriptors that have records
	memory *rescue.Memory
	l      *Loop
	fd     int // the connection's descriptor in the loop
	client int
	input  string // what the client has not sent yet
	sent   int    // number of bytes that it has sent
	got    []byte
}

func newRelay(t *testing.T, cfg serve.Config, listener int, addr, input string) *relay {
	t.Helper()
	return newRelayOf(t, 1024, cfg, listener, addr, input)
}

func newRelayOf(t *testing.T, fds int, cfg serve.Config, listener int, addr, input string) *relay {
	t.Helper()
	r := &relay{t: t, fds: fds, cfg: cfg, input: input}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	r.client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptInt(r.client, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<10)
	}
	if err == nil { // because the segments of loopback are larger than the buffer
		err = unix.SetsockoptInt(r.client, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1000)
	}
	if err == nil {
		err = unix.Connect(r.client, &unix.SockaddrInet4{Port: n, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	systest.Await(t, "a connection", func() bool {
		fd, errno := rawAccept(listener)
		r.fd = fd
		return errno == 0
	})
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10); err != nil {
		t.Fatal(err)
	}
	r.begin()
	r.l.serve(r.l.newPeer(r.fd, r.l.peerOf(r.fd), serve.Listener{}))
	return r
}

// begin creates a loop and its records.
func (r *relay) begin() {
	r.t.Helper()
	fd, err := rescue.Create(rescue.Sizes{FDs: r.fds, Recv: 4096, Send: serve.OutSize})
	if err == nil {
		r.memory, err = rescue.Map(fd, true)
		unix.Close(fd)
	}
	if err == nil {
		r.cfg.Records = rescue.NewWriter(r.memory)
		r.l, err = New(r.cfg)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.l.disk.resident = func(int, int64, int64) bool { return true }
}

// forget frees a loop's resources, as if its process had ended.
func (r *relay) forget(l *Loop, memory *rescue.Memory) {
	for fd, p := range l.peers {
		if p != nil {
			p.http().Leave()
			unix.Close(fd)
		}
	}
	unix.Close(l.epoll)
	unix.Close(l.wake)
	memory.Close()
}

// kill lets another loop continue with the records of the current one.
func (r *relay) kill() {
	r.t.Helper()
	if r.over() {
		return
	}
	dead, records := r.l, r.memory
	r.begin()
	take := rescuer{l: r.l, reader: rescue.NewReader(records), blame: ipc.BlameNobody}
	kept := ipc.Kept{Number: r.fd, Socket: duplicate(r.t, r.fd), File: -1}
	if file := take.reader.File(r.fd); file >= 0 {
		if fd, err := unix.FcntlInt(uintptr(file), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			kept.File = fd
		}
	}
	take.take([]ipc.Kept{kept})
	if take.result.Connections != 1 {
		r.t.Fatalf("not rescued: %+v", take.result)
	}
	r.forget(dead, records)
	r.fd = kept.Socket
	r.l.resumeRescued()
}

func duplicate(t *testing.T, fd int) int {
	t.Helper()
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// over reports whether the loop has closed the connection.
func (r *relay) over() bool { return r.l.peers[r.fd] == nil }

func (r *relay) event(events uint32) {
	if !r.over() {
		r.l.event(r.l.peers[r.fd], events)
	}
}

func (r *relay) write(n int) {
	r.t.Helper()
	if n = min(n, len(r.input)); strings.HasSuffix(r.input, trailing) && n >= len(r.input)-len(trailing) {
		n = len(r.input) // what follows the last request comes with it, before the connection ends
	}
	n, err := unix.SendmsgN(r.client, []byte(r.input[:n]), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err != nil && err != unix.EAGAIN {
		r.t.Fatal(err)
	}
	r.input = r.input[max(0, n):]
	r.sent += max(0, n)
	r.awaitArrival()
	r.event(unix.EPOLLIN)
}

// awaitArrival waits until the loop's socket has received what the client has sent, if there is room: a busy kernel
// may deliver it later.
func (r *relay) awaitArrival() {
	for end := time.Now().Add(time.Second); !r.over() && time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		info, err := unix.GetsockoptTCPInfo(r.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || int(info.Bytes_received) >= r.sent {
			return
		}
	}
}

func (r *relay) read(n int) {
	r.t.Helper()
	p := make([]byte, n)
	n, _, err := unix.Recvfrom(r.client, p, unix.MSG_DONTWAIT)
	if err != nil && err != unix.EAGAIN {
		r.t.Fatal(err)
	}
	r.got = append(r.got, p[:max(0, n)]...)
	r.event(unix.EPOLLOUT)
}

// step takes a step that a random byte chooses.
func (r *relay) step(b byte) {
	n := int(b >> 3)
	switch b & 7 {
	case 0:
		r.write(n + 1)
	case 1:
		r.write(n * 50)
	case 2, 3:
		r.read(n*n*30 + 1)
	case 4, 5:
		r.l.sendReady()
	default:
		r.kill()
	}
}

// finish sends and reads everything that is left, and returns all bytes received.
func (r *relay) finish() []byte {
	r.t.Helper()
	for until := time.Now().Add(time.Minute); !r.idle(); {
		r.write(1 << 16)
		r.l.sendReady()
		r.read(1 << 16)
		if time.Now().After(until) {
			r.t.Fatalf("the connection did not become idle: received %d bytes", len(r.got))
		}
	}
	return r.got
}

// idle reports whether everything has been sent and read.
func (r *relay) idle() bool {
	if queued, err := unix.IoctlGetInt(r.client, unix.SIOCOUTQ); len(r.input) > 0 || queued > 0 || err != nil {
		return false
	}
	if !r.over() {
		p := r.l.peers[r.fd]
		unread, err := unix.IoctlGetInt(r.fd, unix.SIOCINQ)
		unsent, unsentErr := unix.IoctlGetInt(r.fd, unix.SIOCOUTQ)
		if err != nil || unsentErr != nil || unread > 0 || unsent > 0 || p.readable || p.turn.linked() || len(p.unsent) > 0 || p.step != conn.Read && p.step != conn.Linger {
			return false
		}
	}
	unread, err := unix.IoctlGetInt(r.client, unix.SIOCINQ) // what is no longer unsent has arrived here
	return err == nil && unread == 0
}

func (r *relay) close() {
	r.forget(r.l, r.memory)
	unix.Close(r.client)
}

// loopback returns the network of the tests' clients.
func loopback(t testing.TB) *clientip.Networks {
	t.Helper()
	n, err := clientip.ParseNetwork("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	return clientip.NewNetworks([]clientip.Network{n})
}

// A connection is counted as accepted once, even if its worker is killed between accept(2) and counting it.
func TestRescuedConnectionIsCounted(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/small", 100)
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	for _, counted := range []uint64{0, 1} {
		cfg := relayConfig(uncachedFiles(t, dir))
		cfg.Row = new(scoreboard.Row)
		r := newRelay(t, cfg, listener, addr, servetest.Get("/small"))
		if cfg.Row.Accepted.Store(counted); counted == 0 {
			r.cfg.Records.Closed(r.fd) // the state of a record right after accept(2)
		}
		for range 2 {
			r.kill()
			r.finish()
			if n := cfg.Row.Accepted.Load(); n != 1 {
				t.Errorf("counted %d times before the death, a connection is counted %d times after it", counted, n)
			}
		}
		r.close()
	}
}

// A worker that is killed before it notes that it has handed a connection over leaves a record of it. If the other worker
// has used the connection since, the record is out of date: bytes that were in the receive buffer are not taken for a
// request, and no response is sent twice.
func TestRescueOfHandedOverConnection(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/small", 100)
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	cfg := serve.Config{Recv: 4096, Log: zerolog.Nop(), Conn: conn.Config{Site: uncachedFiles(t, dir), Server: "test", KeepAlive: time.Minute}}
	ask := servetest.Get("/small")
	for _, one := range []struct {
		name           string
		reads, answers int // bytes, before the other worker closes the connection
		want           ipc.Rescued
	}{
		{"it does nothing", 0, 0, ipc.Rescued{Connections: 1}},
		{"it receives a part of a request", 5, 0, ipc.Rescued{Ended: 1}},
		{"it answers a request", len(ask), 20, ipc.Rescued{Ended: 1}},
	} {
		t.Run(one.name, func(t *testing.T) {
			// The first send leaves two requests in the receive buffer, both answered.
			r := newRelay(t, cfg, listener, addr, ask+ask)
			r.finish()
			p := r.l.peers[r.fd]
			r.l.giving(p)
			taken := duplicate(t, r.fd) // as if received from the channel
			if _, err := unix.Write(r.client, []byte(ask)); err != nil {
				t.Fatal(err)
			}
			systest.Await(t, "a request", func() bool {
				n, err := unix.IoctlGetInt(taken, unix.SIOCINQ)
				return err == nil && n == len(ask)
			})
			rawRead(taken, make([]byte, one.reads))
			rawSend(taken, make([]byte, one.answers), 0)
			unix.Close(taken)
			dead, records := r.l, r.memory
			r.begin()
			defer r.close()
			take := rescuer{l: r.l, reader: rescue.NewReader(records), blame: ipc.BlameNobody}
			take.take([]ipc.Kept{{Number: r.fd, Socket: duplicate(t, r.fd), File: -1}})
			r.forget(dead, records)
			r.l.resumeRescued()
			if take.result != one.want {
				t.Errorf("%+v, want %+v", take.result, one.want)
			}
		})
	}
}
