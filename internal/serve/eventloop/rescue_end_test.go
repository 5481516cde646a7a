package eventloop

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/rescue"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// What a client sends after its last request is discarded, and does not end the rescue of the last response.
func TestRescueOfLingering(t *testing.T) {
	dir := t.TempDir()
	large := servetest.Noise(t, dir+"/large", 300_000)
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	r := newRelay(t, relayConfig(uncachedFiles(t, dir)), listener, addr, servetest.Get("/large", "Connection: close"))
	defer r.close()
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20); err != nil {
		t.Fatal(err)
	}
	r.write(1 << 16)
	r.input = strings.Repeat("x", 3*r.cfg.Recv)
	for !r.over() && r.l.peers[r.fd].step != conn.Linger {
		r.write(1 << 16)
		r.l.sendReady()
	}
	if r.over() {
		t.Fatal("the connection does not linger")
	}
	r.kill() // fails unless the connection is rescued
	if got := r.finish(); !bytes.HasSuffix(got, large) {
		t.Errorf("the client received other bytes, %d in all", len(got))
	}
}

// A client that sends plain HTTP to a TLS address, after its PROXY header, is told so. A worker that is killed before it
// has sent that leaves a record that says that the header was used.
func TestRescueOfProxiedInClear(t *testing.T) {
	r := acceptedRelay(t, t.TempDir())
	r.l.cfg.Proxied, r.l.names = loopback(t), true
	r.l.newPeer(r.fd, r.l.peerOf(r.fd), r.from)
	if _, err := r.conn.Write([]byte(testHeader + servetest.Get("/"))); err != nil {
		t.Fatal(err)
	}
	systest.Await(t, "a response", func() bool {
		r.turn()
		_, sent, err := rescue.Count(r.fd)
		if err != nil {
			t.Fatal(err)
		}
		return sent > 0
	})
	f := rescue.NewReader(r.memory).Find(r.fd, uint64(len(testHeader)), 0)
	if !f.Ending || !bytes.HasPrefix(f.Unsent, []byte("HTTP/1.1 400 ")) {
		t.Errorf("killed before it sent the response, the worker leaves %+v", f)
	}
	if as := r.l.arrivalOf(r.fd, &f); as.header != headerNone || !as.proxied || as.client.String() != testClient+":4711" {
		t.Errorf("then the arrival is %+v of %v", as, as.client)
	}
	r.end()
}

// A connection that was taken over although the kernel does not say how many bytes it has received is never rescued, even
// after its next response: the record would be wrong.
func TestUncountedIsNotRescued(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/small", 100)
	request := servetest.Get("/small")
	for name, one := range map[string]struct {
		state []byte
		next  string
	}{
		"in a request": {conn.AppendState(nil, conn.Remains{Held: []byte(request[:5])}), request[5:]},
		"in a header": {
			append(append([]byte{arrivalState, byte(headerPlain), 0, 0, 5}, testHeader[:5]...), conn.AppendState(nil, conn.Remains{})...),
			testHeader[5:] + request,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &relay{t: t, fds: 1024, cfg: relayConfig(uncachedFiles(t, dir))}
			r.begin()
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			r.fd, r.client = fds[0], fds[1]
			defer r.close()
			r.l.serve(r.l.restore(one.state, r.fd, -1))
			for _, text := range []string{one.next, request} {
				if _, err := unix.Write(r.client, []byte(text)); err != nil {
					t.Fatal(err)
				}
				r.l.sendReady()
				r.event(unix.EPOLLIN)
				if n, err := unix.Read(r.client, make([]byte, 1000)); err != nil || n < 100 {
					t.Fatalf("a response of %d bytes, error %v", n, err)
				}
				if f := rescue.NewReader(r.memory).Find(r.fd, r.cfg.Records.Used(r.fd), r.cfg.Records.End(r.fd)); f.Verdict != rescue.Fixed {
					t.Errorf("after the response, the verdict is %d, want %d", f.Verdict, rescue.Fixed)
				}
			}
		})
	}
}
