package clients

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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

	lock sync.Mutex
	seen []tlsSeen // closed connections
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
	s := &tlsServer{size: size, began: time.Now(), ca: filepath.Join(t.TempDir(), "ca.pem")}
	if s.cfg, err = tlsconn.NewConfig(o); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.ca, src.Chain, 0o600); err != nil {
		t.Fatal(err)
	}
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
		s.lock.Lock()
		s.seen = append(s.seen, seen)
		s.lock.Unlock()
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
		fields := strings.Fields(string(request))
		n := 0
		if len(fields) > 1 {
			n, _ = strconv.Atoi(strings.TrimPrefix(fields[1], "/"))
		}
		reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
		out = conn.Seal(out, append(reply, body(n)...), s.now())
	}
}

func body(n int) []byte { return bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n] }

// ended waits until n connections have ended, and returns their outcomes.
func (s *tlsServer) ended(t *testing.T, n int) []tlsSeen {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.lock.Lock()
		seen := slices.Clone(s.seen)
		s.lock.Unlock()
		if len(seen) >= n {
			return seen
		}
	}
	t.Fatalf("fewer than %d connections have ended", n)
	return nil
}

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
			seen := s.ended(t, i+1)[i]
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
	get := func(n int) string { return fmt.Sprintf("GET /%d HTTP/1.1\r\n\r\n", n) }
	for i, c := range []struct {
		name   string
		args   []string
		lines  []string
		want   []string // in the output
		reason tlsconn.Reason
		check  func(tlsSeen) bool
	}{
		{"keys", []string{"-tls1_3", "-sess_out", session}, []string{get(10), "K\n", get(20), "k\n", get(100_000)},
			[]string{string(body(10)), string(body(20)), string(body(100_000))}, tlsconn.ReasonNone,
			func(s tlsSeen) bool { return s.movable && !s.info.Resumed }},
		{"resumption", []string{"-tls1_3", "-sess_in", session}, []string{get(10)},
			[]string{"Reused, TLSv1.3", string(body(10))}, tlsconn.ReasonNone,
			func(s tlsSeen) bool { return s.movable && s.info.Resumed }},
		{"another group", []string{"-tls1_3", "-groups", "P-521:P-384"}, []string{get(10)},
			[]string{string(body(10))}, tlsconn.ReasonNone, func(s tlsSeen) bool { return s.movable }},
		{"renegotiation", []string{"-tls1_2"}, []string{get(10), "R\n"},
			[]string{string(body(10)), "RENEGOTIATING"}, tlsconn.ReasonRenegotiation,
			func(s tlsSeen) bool { return !s.movable }},
		{"1.1", []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, nil, nil, tlsconn.ReasonVersion,
			func(s tlsSeen) bool { return !s.movable }},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := openssl(t, s, c.args, c.lines, c.want)
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("the output lacks %.200q: %.2000s", want, out)
				}
			}
			if seen := s.ended(t, i+1)[i]; seen.reason != c.reason || !c.check(seen) {
				t.Errorf("connection %+v, want reason %v", seen, c.reason)
			}
		})
	}
}

// openssl runs s_client. It takes one command from each read of its input, so each line is sent once the
// result of the previous one is there.
func openssl(t *testing.T, s *tlsServer, args, lines, want []string) string {
	t.Helper()
	args = append([]string{"s_client", "-connect", s.address, "-CAfile", s.ca}, args...)
	cmd := exec.Command("openssl", args...)
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
	got := &output{}
	read := make(chan struct{})
	go func() {
		io.Copy(got, out)
		close(read)
	}()
	for _, line := range lines {
		io.WriteString(in, line)
		switch {
		case strings.HasPrefix(line, "GET /"):
			n, _ := strconv.Atoi(strings.Fields(line)[1][1:])
			got.await(t, read, string(body(n)))
		case line == "R\n":
			<-read // the server refuses and closes
		default:
			got.await(t, read, "KEYUPDATE")
		}
		got.skip()
	}
	if len(lines) > 0 && lines[len(lines)-1] != "R\n" {
		io.WriteString(in, "Q\n")
	}
	<-read
	in.Close()
	cmd.Wait()
	return got.String()
}

// output is a program's output so far.
type output struct {
	lock sync.Mutex
	text []byte
	from int // where await starts
}

func (o *output) Write(p []byte) (int, error) {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

func (o *output) String() string {
	o.lock.Lock()
	defer o.lock.Unlock()
	return string(o.text)
}

func (o *output) skip() {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.from = len(o.text)
}

// await waits until the output after the last skip contains text, or done is closed.
func (o *output) await(t *testing.T, done chan struct{}, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		o.lock.Lock()
		found := bytes.Contains(o.text[o.from:], []byte(text))
		o.lock.Unlock()
		if found {
			return
		}
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
	}
	t.Errorf("no %.100q in the output within a minute", text)
}
