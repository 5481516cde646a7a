package serve_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"phalanx/internal/accesslog"
	"phalanx/internal/clientip"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/proxyproto"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// networks returns the networks of a list.
func networks(t *testing.T, list string) (all []clientip.Network) {
	t.Helper()
	for _, text := range clientip.SplitNetworks(list) {
		n, err := clientip.ParseNetwork(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

const (
	header1 = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n"
	header2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x08\xc0\x00\x02\x01\x12\x67\x00\x50"
	local2  = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

// The client that a PROXY header names is in the access log and in lists, however the header's bytes arrive. Clients
// of other networks are served without a header.
func TestProxied(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		access, logged := logTo(t, accesslog.Combined)
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			cfg.Access, cfg.Proxied = access, clientip.NewNetworks(networks(t, "127.0.0.1"))
		})
		logs := func(c net.Conn, client string) {
			t.Helper()
			before := len(logged())
			servetest.Send(t, c, servetest.Get("/f"))
			if res, _ := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 {
				t.Errorf("%s: %s, want 200", client, res.Status)
			}
			systest.Await(t, "a line of the access log", func() bool { return bytes.HasSuffix(logged()[before:], []byte("\n")) })
			if line := logged()[before:]; !bytes.HasPrefix(line, []byte(client+" - - [")) {
				t.Errorf("the line is %q, want it to begin with %s", line, client)
			}
		}
		for header, client := range map[string]string{
			header1: "203.0.113.7", header2: "203.0.113.8", local2: "127.0.0.1", "PROXY UNKNOWN\r\n": "127.0.0.1",
		} {
			c := s.DialWith(header)
			logs(c, client)
			logs(c, client) // the header applies to the whole connection
			slow := s.Dial()
			for i := range header {
				servetest.Send(t, slow, header[i:i+1])
			}
			logs(slow, client)
			together := s.DialWith(header + servetest.Get("/f")[:5])
			before := len(logged())
			servetest.Send(t, together, servetest.Get("/f")[5:])
			servetest.Receive(t, bufio.NewReader(together))
			systest.Await(t, "a line of the access log", func() bool { return bytes.HasPrefix(logged()[before:], []byte(client+" - - [")) })
		}
		logs(dialFrom(t, s, "127.0.0.2"), "127.0.0.2")
		s.DialWith(header1)
		systest.Await(t, "the client in the list", func() bool {
			reply := make(chan []serve.Seen, 1)
			s.Order(serve.List{Reply: reply})
			for _, seen := range <-reply {
				if seen.Client == "203.0.113.7:4711" {
					return true
				}
			}
			return false
		})
		s.Stop()
	})
}

// The header comes before TLS and HTTP/2 too.
func TestProxiedSecure(t *testing.T) {
	dir := withFile(t, 10)
	credentials, client := servetest.Credentials(t, nil)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		access, logged := logTo(t, accesslog.Combined)
		s := servetest.StartSecure(t, dir, run, credentials, func(cfg *serve.Config) {
			cfg.Access, cfg.Proxied, cfg.Conn.HTTP2 = access, clientip.NewNetworks(networks(t, "127.0.0.1")), true
		})
		asks := func(c *tls.Conn, want string) {
			t.Helper()
			before := len(logged())
			servetest.Send(t, c, servetest.Get("/f"))
			servetest.Receive(t, bufio.NewReader(c))
			c.Close()
			systest.Await(t, "a line of "+want, func() bool { return bytes.HasPrefix(logged()[before:], []byte(want+" - - [")) })
		}
		for header, want := range map[string]string{header1: "203.0.113.7", header2: "203.0.113.8"} {
			c := s.DialWith(header)
			asks(servetest.Handshake(t, c, client), want)
			slow := s.Dial()
			for i := range header {
				servetest.Send(t, slow, header[i:i+1])
			}
			asks(servetest.Handshake(t, slow, client), want)
			asks(servetest.Handshake(t, &coalesced{Conn: s.Dial(), first: header}, client), want)
		}
		c := dialFrom(t, s, "127.0.0.2")
		asks(servetest.Handshake(t, c, client), "127.0.0.2")
		before := len(logged())
		both := client.Clone()
		both.NextProtos = []string{"h2"}
		c = s.Dial()
		servetest.Send(t, c, header1)
		h := greetHTTP2(t, servetest.Handshake(t, c, both))
		h.ask(1, "/f")
		h.whole(1)
		c.Close()
		systest.Await(t, "a line of the HTTP/2 request", func() bool { return bytes.HasPrefix(logged()[before:], []byte("203.0.113.7 - - [")) })
		s.Stop()
	})
}

// coalesced sends first in the same segment as the first bytes written.
type coalesced struct {
	net.Conn
	first string
}

func (c *coalesced) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(append([]byte(c.first), p...))
	n -= len(c.first)
	c.first = ""
	return n, err
}

// A local proxy may connect through a unix socket, with a header.
func TestProxiedLocal(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		access, logged := logTo(t, accesslog.Combined)
		local := newLocal(t)
		fd, err := unix.FcntlInt(uintptr(local.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := servetest.At(t, local.path)
		s.ServeAll(dir, []serve.Listener{{FD: fd, Shared: true}}, run, func(cfg *serve.Config) {
			cfg.Access, cfg.Proxied, cfg.Conn.SecurePort = access, clientip.NewNetworks(networks(t, "unix")), 443
		})
		c, err := net.Dial("unix", local.path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		servetest.Send(t, c, header2+servetest.Get("/f"))
		if res, _ := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 {
			t.Errorf("%s, want 200: the proxy decides about TLS", res.Status)
		}
		systest.Await(t, "a line of the access log", func() bool { return bytes.HasPrefix(logged(), []byte("203.0.113.8 - - [")) })
		s.Stop()
	})
}

// A missing or malformed header, from a client that has to send one, closes the connection without a response. It is
// counted, and one alert is sent. From other clients a header is a bad request.
func TestProxiedRefused(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		var row scoreboard.Row
		var alerts atomic.Int64
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			cfg.Row, cfg.Proxied = &row, clientip.NewNetworks(networks(t, "127.0.0.1"))
			cfg.Alert = func(line string) {
				if alerts.Add(1); !strings.Contains(line, "127.0.0.1 began a connection without a PROXY header") {
					t.Errorf("unexpected alert %q", line)
				}
			}
		})
		for _, tt := range []struct {
			sent string
			want proxyproto.Reason
		}{
			{servetest.Get("/f"), proxyproto.ReasonMissing},
			{"PROXY TCP4 203.0.113.7\r\n" + servetest.Get("/f"), proxyproto.ReasonMalformed},
			{"PROXY UNKNOWN" + strings.Repeat(" ", 200), proxyproto.ReasonTooLong},
			{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x13\xcb\x00\x71\x08\xc0\x00\x02\x01\x12\x67\x00\x50\x03\x00\x04\x00\x00\x00\x00", proxyproto.ReasonChecksum},
		} {
			c := s.DialWith(tt.sent)
			if got, err := io.ReadAll(c); len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the response to %q is %q, error %v; want none", tt.sent, got, err)
			}
			systest.Await(t, "a count of "+tt.want.String(), func() bool { return row.Unproxied[tt.want].Load() == 1 })
		}
		if n := alerts.Load(); n != 1 {
			t.Errorf("%d alerts, want 1", n)
		}
		for _, header := range []string{header1, header2} {
			c := dialFrom(t, s, "127.0.0.2")
			c.SetDeadline(time.Now().Add(30 * time.Second))
			servetest.Send(t, c, header+servetest.Get("/f"))
			if res, _ := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 400 {
				t.Errorf("%q from another client: %s, want 400", header, res.Status)
			}
			c.Close()
		}
		s.Stop()
	})
}

// A client that sends only part of its header times out like one that sends part of a request head.
func TestProxiedTimesOut(t *testing.T) {
	dir := t.TempDir()
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		var row scoreboard.Row
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			cfg.Clock = fast(20) // ten seconds pass in half a second
			cfg.Row, cfg.Proxied = &row, clientip.NewNetworks(networks(t, "127.0.0.1"))
			cfg.Conn.KeepAlive = time.Hour
		})
		silent, half := s.Dial(), s.Dial()
		servetest.Send(t, half, header1[:20])
		systest.Await(t, "two connections", func() bool { return row.Accepted.Load() == 2 })
		for _, c := range []net.Conn{silent, half} {
			c.SetReadDeadline(time.Now().Add(time.Minute))
			if got, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%d bytes, error %v; want a close", got, err)
			}
		}
		systest.Await(t, "a count of both", func() bool { return row.Unproxied[proxyproto.ReasonTimeout].Load() == 2 })
		s.Stop()
	})
}

// The limit of connections per client applies to the clients that the headers name, not to the proxy.
func TestProxiedPerClient(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		const most = 2
		var row scoreboard.Row
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			cfg.Row, cfg.MaxPerClient, cfg.Proxied = &row, most, clientip.NewNetworks(networks(t, "127.0.0.1"))
		})
		dial := func(header string) net.Conn {
			c := s.DialWith(header)
			return c
		}
		var open []net.Conn
		for _, header := range []string{header1, header1, header2, header2, local2, local2, local2} {
			c := dial(header)
			if open = append(open, c); !asked(t, c) {
				t.Errorf("%q is not served", header)
			}
		}
		if asked(t, dial(header1)) {
			t.Error("a client has more connections than its limit")
		}
		if n := row.Limited[scoreboard.LimitClient].Load(); n != 1 {
			t.Errorf("%d connections counted as limited, want 1", n)
		}
		open[0].Close()
		systest.Await(t, "a new connection after one ended", func() bool { return asked(t, dial(header1)) })
		s.Stop()
	})
}

// Streams on a trusted proxy's connection may be of different clients, each of which is logged and checked for
// access. The proxy's connections do not count as one client's.
func TestTrustedProxies(t *testing.T) {
	dir := withFile(t, 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		access, logged := logTo(t, accesslog.Combined)
		var row scoreboard.Row
		s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
			cfg.Access, cfg.Row, cfg.MaxPerClient, cfg.Conn.HTTP2 = access, &row, 1, true
			cfg.Conn.Trust = &clientip.Trust{Networks: clientip.NewNetworks(networks(t, "127.0.0.1")), Field: "x-forwarded-for"}
			cfg.Conn.Access = clientip.NewAccess(nil, networks(t, "203.0.113.9"))
		})
		var open []net.Conn
		for range 3 {
			c := s.Dial()
			if open = append(open, c); !asked(t, c) {
				t.Fatal("the proxy's connections are limited like a client's")
			}
		}
		systest.Await(t, "three lines", func() bool { return bytes.Count(logged(), []byte("\n")) == 3 })
		h := dialHTTP2(t, s)
		for i, client := range []string{"203.0.113.7", "203.0.113.8", "203.0.113.9"} {
			h.ask(uint32(2*i+1), "/f", hpack.HeaderField{Name: "x-forwarded-for", Value: "6.6.6.6, " + client})
			h.whole(uint32(2*i + 1))
		}
		systest.Await(t, "six lines", func() bool { return bytes.Count(logged(), []byte("\n")) == 6 })
		lines := strings.Split(string(logged()), "\n")
		for i, want := range []string{"127.0.0.1", "127.0.0.1", "127.0.0.1", "203.0.113.7", "203.0.113.8", "203.0.113.9"} {
			if status := map[bool]string{false: `" 200 `, true: `" 403 `}[i == 5]; !strings.HasPrefix(lines[i], want+" - - [") || !strings.Contains(lines[i], status) {
				t.Errorf("line %d is %q, want client %s and %q", i, lines[i], want, status)
			}
		}
		if n := row.Denied.Load(); n != 1 {
			t.Errorf("%d requests counted as denied, want 1", n)
		}
		for _, c := range append(open, h.conn) {
			c.Close()
		}
		s.Stop()
	})
}
