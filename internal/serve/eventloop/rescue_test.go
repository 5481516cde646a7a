package eventloop

import (
	"bytes"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
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
	servetest.Await(t, "a connection", func() bool {
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
	n = min(n, len(r.input))
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

// requests returns requests chosen by random bytes; the last one may close the connection.
func requests(choice []byte) (text string) {
	all := []string{
		servetest.Get("/small"), servetest.Get("/middle"), servetest.Get("/large"), servetest.Get("/none"), "\r\n",
		"HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n", servetest.Get("/large", "Range: bytes=7-200000"),
		servetest.Get("/small", "X-Long: "+string(bytes.Repeat([]byte("x"), 5000))), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: a\r\n\r\n",
	}
	for i, b := range choice[:min(len(choice), 12)] {
		if n := int(b) % (len(all) + 1); n < len(all) {
			text += all[n]
		} else if i > 0 {
			return text + servetest.Get("/middle", "Connection: close")
		}
	}
	return text
}

// relayed returns the configuration of the loops of relays, and a listening socket.
func relayed(f *testing.F) (cfg serve.Config, listener int, addr string) {
	f.Helper()
	dir := f.TempDir()
	for name, size := range map[string]int{"small": 100, "middle": 9000, "large": 300_000} {
		servetest.Noise(f, dir+"/"+name, size)
		if err := os.Chtimes(dir+"/"+name, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
			f.Fatal(err)
		}
	}
	files := uncachedFiles(f, dir)
	listener, addr = servetest.Listen(f)
	f.Cleanup(func() { unix.Close(listener) })
	began := time.Now()
	return serve.Config{
		Recv: 4096, Log: zerolog.Nop(), Clock: func() (time.Time, time.Duration) { return began, time.Hour },
		Conn: conn.Config{Site: files, Server: "test", KeepAlive: time.Minute, Expires: time.Hour},
	}, listener, addr
}

// FuzzRescue checks that a connection served by any number of loops, each of which has only the records of the previous
// one, sends the same bytes as one served by a single loop.
func FuzzRescue(f *testing.F) {
	f.Add([]byte{1, 6, 2, 6, 4, 6, 3, 7, 255}, []byte{0, 1, 2, 3})
	f.Add([]byte{249, 6, 249, 6, 250, 4, 6, 4, 250, 6, 4, 4, 6, 100, 4, 6}, []byte{2, 2, 2, 6, 1, 10})
	f.Add([]byte{0, 8, 6, 16, 24, 7, 32, 6, 249, 249, 249, 7, 249, 6, 4, 6}, []byte{7, 0, 7, 4, 7, 5})
	cfg, listener, addr := relayed(f)
	f.Fuzz(func(t *testing.T, steps, choice []byte) {
		input := requests(choice)
		one := newRelay(t, cfg, listener, addr, input)
		want := one.finish()
		one.close()
		many := newRelay(t, cfg, listener, addr, input)
		defer many.close()
		for _, b := range steps[:min(len(steps), 200)] {
			many.step(b)
			if !bytes.HasPrefix(want, many.got) {
				t.Fatalf("the %d bytes received are not the beginning of the %d expected ones", len(many.got), len(want))
			}
		}
		if got := many.finish(); !bytes.Equal(got, want) {
			t.Fatalf("received %d bytes, want %d:\n%.800q\n%.800q", len(got), len(want), got, want)
		}
	})
}

// FuzzRescueProxied is FuzzRescue for a connection with a PROXY header, whose client no loop may forget.
func FuzzRescueProxied(f *testing.F) {
	f.Add([]byte{1, 6, 2, 6, 4, 6, 3, 7, 255}, []byte{0, 1, 2, 3}, false)
	f.Add([]byte{128, 6, 136, 6, 249, 6, 249, 6, 250, 4, 6, 4, 250, 6, 4, 4, 6, 100, 4, 6}, []byte{2, 2, 2, 6, 1, 10}, true)
	f.Add([]byte{6, 9, 6, 41, 6, 16, 24, 7, 32, 6, 249, 249, 249, 7, 249, 6, 4, 6}, []byte{7, 0, 7, 4, 7, 5}, true)
	plain, listener, addr := relayed(f)
	proxied := plain
	proxied.Proxied = loopback(f)
	f.Fuzz(func(t *testing.T, steps, choice []byte, binary bool) {
		const header1, client = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n", "203.0.113.7:4711"
		const header2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x10\xcb\x00\x71\x07\xc0\x00\x02\x01\x12\x67\x00\x50\x04\x00\x01x"
		header := header1
		if binary {
			header = header2
		}
		input := requests(choice)
		one := newRelay(t, plain, listener, addr, input)
		want := one.finish()
		one.close()
		many := newRelay(t, proxied, listener, addr, header+input)
		defer many.close()
		for _, b := range steps[:min(len(steps), 200)] {
			many.step(b)
		}
		if got := many.finish(); !bytes.Equal(got, want) {
			t.Fatalf("received %d bytes, want %d:\n%.800q\n%.800q", len(got), len(want), got, want)
		}
		many.kill()
		if p := many.l.peers[many.fd]; p != nil && p.http1.Client().String() != client {
			t.Fatalf("the client is %v, want %s", p.http1.Client(), client)
		}
	})
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
			servetest.Await(t, "a request", func() bool {
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
