package serve_test

import (
	"bytes"
	"net"
	"testing"

	"phalanx/internal/accesslog"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// logTo returns an access logger and a function that reads what was logged.
func logTo(t *testing.T, format accesslog.Format) (*accesslog.Logger, func() []byte) {
	t.Helper()
	bell, err := accesslog.NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bell.Close)
	ring, err := accesslog.NewRing(make([]byte, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	return accesslog.NewLogger(format, ring, bell.Out), func() []byte {
		a, b := ring.Readable()
		return bytes.Join([][]byte{a, b}, nil)
	}
}

// A request whose client has reset the connection before it was accepted is logged with the client's address, for
// sockets of all families.
func TestAddressOfLostClient(t *testing.T) {
	dir := withFile(t, 10)
	for _, tt := range []struct{ listen, connect, want string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1"}, {"[::1]:0", "::1", "::1"}, {"[::]:0", "127.0.0.1", "127.0.0.1"},
	} {
		t.Run(tt.listen, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, run servetest.Run) {
				if tt.listen == "[::1]:0" && !systest.HasIPv6() {
					t.Skip("this machine has no IPv6")
				}
				fd, addr := servetest.ListenOn(t, tt.listen)
				_, port, err := net.SplitHostPort(addr)
				if err != nil {
					t.Fatal(err)
				}
				s := servetest.At(t, net.JoinHostPort(tt.connect, port))
				c := s.DialWith(servetest.Get("/f"))
				c.SetLinger(0)
				c.Close()
				access, logged := logTo(t, accesslog.Combined)
				s.Serve(dir, fd, run, func(cfg *serve.Config) { cfg.Access = access })
				systest.Await(t, "a line of the access log", func() bool { return bytes.HasSuffix(logged(), []byte("\n")) })
				if line := logged(); !bytes.HasPrefix(line, []byte(tt.want+" - - [")) {
					t.Errorf("the line is %q, want client %s", line, tt.want)
				}
				s.Stop()
			})
		})
	}
}
