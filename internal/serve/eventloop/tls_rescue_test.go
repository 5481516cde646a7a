package eventloop

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// secureRelay is a relay whose client speaks TLS in a goroutine of its own.
type secureRelay struct {
	*relay
	conn        net.Conn
	client      *tls.Config
	credentials serve.Credentials
	from        serve.Listener
}

func newSecureRelay(t *testing.T, dir string) *secureRelay {
	t.Helper()
	r := acceptedRelay(t, dir)
	r.l.newPeer(r.fd, nil, r.from)
	return r
}

// acceptedRelay returns a relay whose loop does not know the connection yet.
func acceptedRelay(t *testing.T, dir string) *secureRelay {
	t.Helper()
	credentials, client := servetest.Credentials(t, nil)
	listener, addr := servetest.Listen(t)
	t.Cleanup(func() { unix.Close(listener) })
	if err := unix.SetNonblock(listener, true); err != nil {
		t.Fatal(err)
	}
	r := &secureRelay{client: client, relay: &relay{t: t, fds: 1024, cfg: serve.Config{Recv: 4096, Log: zerolog.Nop(), Conn: conn.Config{
		Site: uncachedFiles(t, dir), KeepAlive: time.Minute, Expires: time.Hour,
	}}}}
	r.begin()
	r.l.credentials(credentials)
	r.credentials = credentials
	var err error
	if r.conn, err = net.Dial("tcp", addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.conn.Close() })
	systest.Await(t, "a connection", func() bool {
		fd, errno := rawAccept(listener)
		r.fd = fd
		return errno == 0
	})
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10); err != nil {
		t.Fatal(err)
	}
	r.from = serve.Listener{FD: listener, Secure: true}
	return r
}

// turn does the work of one turn of the loop.
func (r *secureRelay) turn() {
	r.event(unix.EPOLLIN | unix.EPOLLOUT)
	r.l.continueHandshakes()
	r.l.sendReady()
}

// turns lets the loop run until the client is done, and returns its error.
func (r *secureRelay) turns(done <-chan error) error {
	for {
		select {
		case err := <-done:
			return err
		default:
			r.turn()
		}
	}
}

// end closes what is left open.
func (r *secureRelay) end() {
	for _, fd := range r.l.doomed {
		unix.Close(fd)
	}
	if p := r.l.peers[r.fd]; p != nil {
		r.l.close(p)
	}
	r.forget(r.l, r.memory)
}

// found returns what a rescue would find at this moment.
func (r *secureRelay) found() ipc.Rescued {
	take := rescuer{l: r.l, reader: rescue.NewReader(r.memory)}
	take.take([]ipc.Kept{{Number: r.fd, Socket: duplicate(r.t, r.fd), File: -1}})
	return take.result
}

// fragmented is a connection that writes in pieces of random sizes.
type fragmented struct {
	net.Conn
	chance *rand.Rand
}

func (s fragmented) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		n := min(len(p)-at, 1+s.chance.IntN(200))
		if _, err := s.Conn.Write(p[at : at+n]); err != nil {
			return at, err
		}
		at += n
		if s.chance.IntN(4) == 0 {
			time.Sleep(50 * time.Microsecond) // the loop may read these bytes alone
		}
	}
	return len(p), nil
}

// A TLS 1.3 connection is rescued again and again from workers killed at random points: idle, during part of a record
// or head, during a download, and with unsent records. Its client receives each byte once.
func TestTLSConnectionIsRescued(t *testing.T) {
	dir := t.TempDir()
	big := servetest.Noise(t, dir+"/big", 600_000)
	small := servetest.Noise(t, dir+"/small", 300)
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newSecureRelay(t, dir)
			chance := rand.New(rand.NewPCG(seed, 1))
			r.conn.SetDeadline(time.Now().Add(2 * time.Minute))
			shaken, done := make(chan bool), make(chan error, 1)
			go func() {
				c := tls.Client(fragmented{r.conn, rand.New(rand.NewPCG(seed, 2))}, r.client)
				err := c.Handshake()
				close(shaken)
				if err != nil {
					done <- err
					return
				}
				done <- rounds(c, big, small)
			}()
			kills := 0
			for ended := false; !ended; {
				select {
				case err := <-done:
					if ended = true; err != nil {
						t.Error(err)
					}
				default:
				}
				r.turn()
				if p := r.l.peers[r.fd]; p == nil {
					break
				} else if !p.handshaking() && chance.IntN(4) == 0 {
					r.kill()
					kills++
				}
			}
			<-shaken
			if kills < 20 {
				t.Errorf("killed %d times, want at least 20", kills)
			}
			r.end()
		})
	}
}

// rounds requests files several times, pipelined, and compares them.
func rounds(c net.Conn, big, small []byte) error {
	in := bufio.NewReader(c)
	for i := range 3 {
		want := [][]byte{small, big, small, big[1000:500_000]}
		text := servetest.Get("/small") + servetest.Get("/big") + servetest.Get("/small") + servetest.Get("/big", "Range: bytes=1000-499999")
		if _, err := c.Write([]byte(text)); err != nil {
			return err
		}
		for n, body := range want {
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				return fmt.Errorf("round %d, response %d: %w", i, n, err)
			}
			var got bytes.Buffer
			if _, err := got.ReadFrom(res.Body); err != nil || !bytes.Equal(got.Bytes(), body) {
				return fmt.Errorf("round %d, response %d: wrong content of %d bytes, error %w", i, n, got.Len(), err)
			}
		}
	}
	return nil
}

// A worker that is killed right after it accepted a TLS connection leaves a record that does not say TLS: the
// listener that accepted it says so. The same applies if its successor is killed too, before it serves.
func TestAcceptedTLSConnectionIsRescued(t *testing.T) {
	dir := t.TempDir()
	small := servetest.Noise(t, dir+"/small", 300)
	for _, deaths := range []int{1, 2} {
		r := acceptedRelay(t, dir)
		r.conn.SetDeadline(time.Now().Add(2 * time.Minute))
		for range deaths {
			dead, records := r.l, r.memory
			r.begin()
			r.l.listeners = []listener{{Listener: r.from}}
			take := rescuer{l: r.l, reader: rescue.NewReader(records), blame: ipc.BlameNobody}
			kept := ipc.Kept{Number: r.fd, Socket: duplicate(t, r.fd), File: -1}
			if take.take([]ipc.Kept{kept}); take.result.Connections != 1 {
				t.Fatalf("not rescued: %+v", take.result)
			}
			if r.forget(dead, records); dead.open == 0 {
				unix.Close(r.fd)
			}
			r.fd = kept.Socket
		}
		r.l.resumeRescued()
		r.l.credentials(r.credentials)
		done := make(chan error, 1)
		go func() {
			c := tls.Client(r.conn, r.client)
			_, err := c.Write([]byte(servetest.Get("/small")))
			if err == nil {
				res, readErr := http.ReadResponse(bufio.NewReader(c), nil)
				if err = readErr; err == nil {
					var got bytes.Buffer
					if _, err = got.ReadFrom(res.Body); err == nil && !bytes.Equal(got.Bytes(), small) {
						err = fmt.Errorf("%d with %q", res.StatusCode, got.Bytes())
					}
				}
			}
			done <- err
		}()
		if err := r.turns(done); err != nil {
			t.Errorf("after %d deaths: %v", deaths, err)
		}
		r.end()
	}
}

// From sealing records until they are committed, no other worker may continue a connection, because it could seal other
// plaintext with the same sequence numbers.
func TestSealingIsNotRescued(t *testing.T) {
	r := newSecureRelay(t, t.TempDir())
	if got := r.found(); got.Fixed != 1 {
		t.Errorf("before the handshake: %+v, want one connection that is closed", got)
	}
	shaken := make(chan error, 1)
	go func() { shaken <- tls.Client(r.conn, r.client).Handshake() }()
	systest.Await(t, "the end of the handshake", func() bool {
		r.turn()
		return !r.l.peers[r.fd].handshaking()
	})
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	r.cfg.Records.Sealing(r.fd)
	if got := r.found(); got.Fixed != 1 || got.Connections != 0 {
		t.Errorf("while sealing: %+v, want one connection that is closed", got)
	}
	p := r.l.peers[r.fd]
	r.l.commit(p, nil, r.l.position(p))
	r.kill() // fails unless the connection is rescued
	r.end()
}

// The last bytes of a file are sealed together with the following response. While that response's file is opened, the
// record does not name the descriptor of the first file, which the next one may have by then.
func TestTLSFileIsNotMistaken(t *testing.T) {
	dir := t.TempDir()
	one := servetest.Noise(t, dir+"/one", 200_000)
	two := servetest.Noise(t, dir+"/two", 300_000)
	r := acceptedRelay(t, dir)
	opened := 0
	r.l.cfg.Conn.Site = &opening{Site: r.l.cfg.Conn.Site, opened: func(path string) {
		if path != "/two" {
			return
		}
		opened++
		received, sent, err := rescue.Count(r.fd)
		if err != nil {
			t.Error(err)
			return
		}
		if f := rescue.NewReader(r.memory).Find(r.fd, received, sent); f.Rest > 0 && inode(t, f.File) != name(t, dir+"/one") {
			t.Errorf("killed at this point, %d bytes of another file would be sent", f.Rest)
		}
	}}
	r.l.newPeer(r.fd, nil, r.from)
	r.conn.SetDeadline(time.Now().Add(2 * time.Minute))
	done := make(chan error, 1)
	go func() {
		c := tls.Client(r.conn, r.client)
		_, err := c.Write([]byte(servetest.Get("/one") + servetest.Get("/two")))
		in := bufio.NewReader(c)
		for _, body := range [][]byte{one, two} {
			var res *http.Response
			if err == nil {
				res, err = http.ReadResponse(in, nil)
			}
			var got bytes.Buffer
			if err == nil {
				_, err = got.ReadFrom(res.Body)
			}
			if err == nil && !bytes.Equal(got.Bytes(), body) {
				err = fmt.Errorf("wrong content of %d bytes", got.Len())
			}
		}
		done <- err
	}()
	if err := r.turns(done); err != nil {
		t.Error(err)
	}
	if opened != 1 {
		t.Errorf("the next file was opened %d times, want once", opened)
	}
	r.kill() // fails unless the connection is rescued
	r.end()
}

// Bytes received in a failed handshake are not counted for another connection, whose record would then be wrong.
func TestFailedHandshakeIsNotCounted(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, dir+"/f", 64<<20)
	r := newSecureRelay(t, dir)
	r.conn.SetDeadline(time.Now().Add(2 * time.Minute))
	first, took := make(chan error, 1), make(chan error, 1)
	more := make(chan bool)
	go func() {
		c := tls.Client(r.conn, r.client)
		_, err := c.Write([]byte(servetest.Get("/f")))
		first <- err
		<-more
		_, err = io.CopyN(io.Discard, c, 1<<20)
		took <- err
	}()
	systest.Await(t, "a download", func() bool {
		r.turn()
		return r.l.peers[r.fd].http().Segment().Len > 0
	})
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	used := r.cfg.Records.Used(r.fd)

	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fds[1], []byte("\x16\x03\x01\x00\x05hello")); err != nil {
		t.Fatal(err)
	}
	p := r.l.newPeer(fds[0], nil, serve.Listener{Secure: true})
	r.l.serve(p)
	r.l.continueHandshakes()
	if p.tls != nil {
		t.Error("the handshake did not fail")
	}
	unix.Close(fds[1])
	close(more)
	if err := r.turns(took); err != nil {
		t.Error(err)
	}
	if got := r.cfg.Records.Used(r.fd); got != used {
		t.Errorf("%d bytes are counted after the failed handshake, want %d", got, used)
	}
	if r.l.peers[fds[0]] == p {
		r.l.close(p)
	}
	r.end()
}
