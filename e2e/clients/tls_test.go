package clients

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"phalanx/e2e/harness"
	"phalanx/internal/certificate"
	"phalanx/internal/tlsconn"
)

// tlsServer serves GET /N with N bytes over [tlsconn] and a TCP socket, from which it reads size bytes at once.
type tlsServer struct {
	address string
	ca      string // path of the certificate
	size    int
	cfg     *tlsconn.Config
	began   time.Time
	conns   sync.WaitGroup
	ended   chan tlsSeen
}

// tlsSeen is the outcome of a connection.
type tlsSeen struct {
	info    tlsconn.Info
	reason  tlsconn.Reason
	movable bool
}

func serveTLS(t *testing.T, size int) *tlsServer {
	t.Helper()
	src, err := certificate.SelfSigned([]string{"localhost", "127.0.0.1"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	set, err := certificate.Parse([]certificate.Source{src})
	if err != nil {
		t.Fatal(err)
	}
	o := tlsconn.Options{Certificates: set, TicketKeys: [][32]byte{{1}}, Protocols: []string{"http/1.1"}, Time: time.Now}
	s := &tlsServer{size: size, began: time.Now(), ca: filepath.Join(t.TempDir(), "ca.pem"), ended: make(chan tlsSeen, 8)}
	if s.cfg, err = tlsconn.NewConfig(o); err != nil {
		t.Fatal(err)
	}
	harness.Write(t, s.ca, src.Chain)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.conns.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.conns.Wait()
	})
	return s
}

// serve serves one connection until it ends, as an event loop would, and moves it to another Conn whenever
// that is possible.
func (s *tlsServer) serve(c net.Conn) {
	defer c.Close()
	conn := tlsconn.New(s.cfg, s.now())
	turn := tlsconn.Turn{Plain: make([]byte, 0, tlsconn.PlainSize)}
	seen := tlsSeen{}
	defer func() {
		seen.info, seen.reason = conn.Info(), conn.Close()
		s.ended <- seen
	}()
	var head []byte
	for p := make([]byte, s.size); ; {
		turn.Plain, turn.Out, turn.Budget = turn.Plain[:0], turn.Out[:0], 1
		step := conn.Next(&turn)
		if head = append(head, turn.Plain...); step != tlsconn.Failed {
			head, turn.Out = s.answer(conn, head, turn.Out)
		}
		if step == tlsconn.Closed {
			turn.Out = conn.CloseNotify(turn.Out)
		}
		if _, err := c.Write(turn.Out); err != nil || step == tlsconn.Closed || step == tlsconn.Failed {
			return
		}
		conn.Hold()
		if conn.Movable() {
			seen.movable = true
			moved, err := tlsconn.Thaw(conn.Freeze(nil), s.now())
			if err != nil {
				panic(err)
			}
			conn.Leave()
			conn = moved
		}
		if step != tlsconn.Read {
			continue
		}
		n, err := c.Read(p)
		if n == 0 && err != nil {
			return
		}
		conn.Receive(p[:n])
	}
}

func (s *tlsServer) now() time.Duration { return time.Since(s.began) }

// answer removes complete requests from the front of head and appends the sealed responses to out.
func (s *tlsServer) answer(conn *tlsconn.Conn, head, out []byte) (rest, _ []byte) {
	for {
		request, rest, ok := bytes.Cut(head, []byte("\r\n\r\n"))
		if !ok {
			return head, out
		}
		head = rest
		n := 0
		fmt.Sscanf(string(request), "GET /%d ", &n)
		reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
		out = conn.Seal(out, append(reply, body(n)...), s.now())
	}
}

func body(n int) []byte { return bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n] }

// TestTLSLayerWithCurl requests responses of several sizes with several versions, ciphers and curves of curl.
func TestTLSLayerWithCurl(t *testing.T) {
	curl := newProgram(t, "curl")
	for _, size := range []int{1, 64 << 10} {
		s := serveTLS(t, size)
		for i, c := range []struct {
			args    []string
			movable bool
		}{
			{nil, true},
			{[]string{"--tlsv1.3", "--tls13-ciphers", "TLS_AES_256_GCM_SHA384"}, true},
			{[]string{"--tlsv1.3", "--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256"}, false},
			{[]string{"--curves", "P-384"}, true},
			{[]string{"--tls-max", "1.2"}, false},
		} {
			args := append([]string{"-sS", "--cacert", s.ca, "--no-alpn"}, c.args...)
			if i == 0 {
				args = slices.Delete(args, 3, 4)
			}
			for _, n := range []int{0, 1, 8192, 3 << 20} {
				args = append(args, fmt.Sprintf("https://%s/%d", s.address, n))
			}
			out := curl.output(args...)
			if want := string(body(1)) + string(body(8192)) + string(body(3<<20)); out != want {
				t.Errorf("curl %v: %d bytes, want the %d expected ones", c.args, len(out), len(want))
			}
			seen := <-s.ended
			if seen.movable != c.movable || seen.reason != tlsconn.ReasonNone && seen.reason != tlsconn.ReasonUnclosed {
				t.Errorf("curl %v: %+v", c.args, seen)
			}
			if protocol := seen.info.Protocol; (protocol == "http/1.1") != (i == 0) {
				t.Errorf("curl %v: protocol %q", c.args, protocol)
			}
		}
	}
}

// TestTLSLayerWithOpenSSL lets s_client update keys (K requests an update of the server's too), resume a
// session, repeat its hello for another group, renegotiate, which is refused, and offer an old version.
func TestTLSLayerWithOpenSSL(t *testing.T) {
	s := serveTLS(t, 64<<10)
	session := filepath.Join(t.TempDir(), "session")
	get := func(n int) step { return step{fmt.Sprintf("GET /%d HTTP/1.1\r\n\r\n", n), string(body(n))} }
	quit := step{"Q\n", ""}
	for _, c := range []struct {
		name             string
		args             []string
		steps            []step
		reason           tlsconn.Reason
		movable, resumed bool
	}{
		{"keys", []string{"-tls1_3", "-sess_out", session},
			[]step{get(10), {"K\n", "KEYUPDATE"}, get(20), {"k\n", "KEYUPDATE"}, get(100_000), quit},
			tlsconn.ReasonNone, true, false},
		{"resumption", []string{"-tls1_3", "-sess_in", session}, []step{{"", "Reused, TLSv1.3"}, get(10), quit},
			tlsconn.ReasonNone, true, true},
		{"another group", []string{"-tls1_3", "-groups", "P-521:P-384"}, []step{get(10), quit},
			tlsconn.ReasonNone, true, false},
		{"renegotiation", []string{"-tls1_2"}, []step{get(10), {"R\n", "RENEGOTIATING"}},
			tlsconn.ReasonRenegotiation, false, false},
		{"1.1", []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, nil, tlsconn.ReasonVersion, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			openssl(t, s, c.args, c.steps)
			if seen := <-s.ended; seen.reason != c.reason || seen.movable != c.movable || seen.info.Resumed != c.resumed {
				t.Errorf("connection %+v, want reason %v, movable %v, resumed %v", seen, c.reason, c.movable, c.resumed)
			}
		})
	}
}

// step is a line of s_client's input, and what its output then contains.
type step struct{ line, want string }

// openssl runs s_client. It takes one command from each read of its input, so each line is sent once the
// result of the previous one is there.
func openssl(t *testing.T, s *tlsServer, args []string, steps []step) {
	t.Helper()
	limited, stop := context.WithTimeout(t.Context(), harness.InTime(time.Minute))
	defer stop()
	args = append([]string{"s_client", "-connect", s.address, "-CAfile", s.ca}, args...)
	cmd := exec.CommandContext(limited, "openssl", args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 64<<10)
	for _, step := range steps {
		io.WriteString(in, step.line)
		var got []byte
		for err = nil; err == nil && !bytes.Contains(got, []byte(step.want)); {
			var n int
			n, err = out.Read(p)
			got = append(got, p[:n]...)
		}
		if err != nil {
			t.Errorf("after %q, the output lacks %.200q: %.2000s", step.line, step.want, got)
		}
	}
	io.Copy(io.Discard, out)
	cmd.Wait()
}
