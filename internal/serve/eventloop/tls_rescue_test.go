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
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// secureRelay is a relay whose client speaks TLS, in a goroutine.
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

// acceptedRelay is one of which the loop knows nothing yet.
func acceptedRelay(t *testing.T, dir string) *secureRelay {
	t.Helper()
	root, err := site.Open(dir, site.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	credentials, client := servetest.Credentials(t, nil)
	listener, addr := servetest.Listen(t)
	t.Cleanup(func() { unix.Close(listener) })
	if err := unix.SetNonblock(listener, true); err != nil {
		t.Fatal(err)
	}
	r := &secureRelay{client: client, relay: &relay{t: t, fds: 1024, cfg: serve.Config{Recv: 4096, Log: zerolog.Nop(), Conn: conn.Config{
		Site: website.Uncached(root), KeepAlive: time.Minute, Expires: time.Hour,
	}}}}
	r.begin()
	r.l.credentials(credentials)
	r.credentials = credentials
	if r.conn, err = net.Dial("tcp", addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.conn.Close() })
	servetest.Await(t, "a connection", func() bool {
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

// turn does what the loop would.
func (r *secureRelay) turn() {
	r.event(unix.EPOLLIN | unix.EPOLLOUT)
	r.l.shake()
	r.l.sendReady()
}

// end closes what is left.
func (r *secureRelay) end() {
	for _, fd := range r.l.doomed {
		unix.Close(fd)
	}
	if p := r.l.peers[r.fd]; p != nil {
		r.l.close(p)
	}
	r.forget(r.l, r.memory)
}

// found is what a rescue would find of the connection now.
func (r *secureRelay) found() ipc.Rescued {
	take := rescuer{l: r.l, reader: rescue.NewReader(r.memory)}
	take.take([]ipc.Kept{{Number: r.fd, Socket: duplicate(r.t, r.fd), File: -1}})
	return take.result
}

// scattered is a connection whose bytes go in pieces of chance.
type scattered struct {
	net.Conn
	chance *rand.Rand
}

func (s scattered) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		n := min(len(p)-at, 1+s.chance.IntN(200))
		if _, err := s.Conn.Write(p[at : at+n]); err != nil {
			return at, err
		}
		at += n
		if s.chance.IntN(4) == 0 {
			time.Sleep(50 * time.Microsecond) // the loop may see these bytes alone
		}
	}
	return len(p), nil
}

// A connection of TLS 1.3 outlives its workers, killed again and again at moments of
// chance: idle, in a part of a record or of a head, in a download, with records that are
// not sent yet. Its client gets each byte once.
func TestSecureIsRescued(t *testing.T) {
	dir := t.TempDir()
	big := servetest.Noise(t, dir+"/big", 600_000)
	small := servetest.Noise(t, dir+"/small", 300)
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newSecureRelay(t, dir)
			chance := rand.New(rand.NewPCG(seed, 1))
			r.conn.SetDeadline(time.Now().Add(30 * time.Second))
			shaken, done := make(chan bool), make(chan error, 1)
			go func() {
				c := tls.Client(scattered{r.conn, rand.New(rand.NewPCG(seed, 2))}, r.client)
				if err := c.Handshake(); err != nil {
					done <- err
					return
				}
				close(shaken)
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
				} else if !p.shaking() && chance.IntN(4) == 0 {
					r.kill()
					kills++
				}
			}
			<-shaken
			if kills < 20 {
				t.Errorf("killed %d times", kills)
			}
			r.end()
		})
	}
}

// rounds asks for files again and again, several at once too, and compares them.
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
				return fmt.Errorf("round %d, response %d: %d bytes, %w", i, n, got.Len(), err)
			}
		}
	}
	return nil
}

// A worker that is killed before it has recorded that a client speaks TLS leaves a record
// like that of any connection just accepted: where it was accepted says more. So it is if
// its successor dies as well before it serves.
func TestAcceptedIsRescuedSecure(t *testing.T) {
	dir := t.TempDir()
	small := servetest.Noise(t, dir+"/small", 300)
	for _, deaths := range []int{1, 2} {
		r := acceptedRelay(t, dir)
		r.conn.SetDeadline(time.Now().Add(30 * time.Second))
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
		for ended := false; !ended; {
			select {
			case err := <-done:
				if ended = true; err != nil {
					t.Errorf("after %d deaths: %v", deaths, err)
				}
			default:
				r.turn()
			}
		}
		r.end()
	}
}

// Between the sealing of records and the commit that has them nobody else may continue a
// connection: other plaintext could be sealed with the same numbers.
func TestSealingIsNotRescued(t *testing.T) {
	r := newSecureRelay(t, t.TempDir())
	if got := r.found(); got.Fixed != 1 {
		t.Errorf("before the handshake: %+v", got)
	}
	shaken := make(chan error, 1)
	go func() { shaken <- tls.Client(r.conn, r.client).Handshake() }()
	servetest.Await(t, "handshake", func() bool {
		r.turn()
		return !r.l.peers[r.fd].shaking()
	})
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	r.cfg.Records.Sealing(r.fd)
	if got := r.found(); got.Fixed != 1 || got.Connections != 0 {
		t.Errorf("while sealing: %+v", got)
	}
	p := r.l.peers[r.fd]
	r.l.commitSecure(p, nil, r.l.position(p))
	r.kill() // fails unless it is rescued
	r.end()
}

// What a client sent whose handshake fails is not counted as received from another one,
// whose record would then be wrong.
func TestFailedHandshakeIsNotCounted(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, dir+"/f", 64<<20)
	r := newSecureRelay(t, dir)
	r.conn.SetDeadline(time.Now().Add(30 * time.Second))
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
	servetest.Await(t, "a download", func() bool {
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
	r.l.shake()
	if p.tls != nil {
		t.Error("the handshake has not failed")
	}
	unix.Close(fds[1])
	close(more)
	for ended := false; !ended; {
		select {
		case err := <-took:
			if ended = true; err != nil {
				t.Error(err)
			}
		default:
			r.turn()
		}
	}
	if got := r.cfg.Records.Used(r.fd); got != used {
		t.Errorf("%d bytes are used after the failure, %d before", got, used)
	}
	if r.l.peers[fds[0]] == p {
		r.l.close(p)
	}
	r.end()
}
