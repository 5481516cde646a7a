package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/observe/address"
	"phalanx/internal/observe/status"
)

// endpoint serves a handler over TCP or on a unix socket, and returns the address as an
// operator would give it.
func endpoint(t *testing.T, network string, h http.Handler) (string, *httptest.Server) {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "admin.sock")
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().String(), s
}

func asJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v)
}

// pool is an admin endpoint with what this package needs.
func pool(pid int) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, r *http.Request) {
		asJSON(w, 200, status.Pool{PID: pid, State: status.Serving, Slots: 2})
	})
	mux.HandleFunc("GET /connections", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch q.Get("slot") + "/" + q.Get("pid") {
		case "1/77":
			asJSON(w, 200, status.Connections{Slot: 1, PID: 77, Total: 1, Connections: []status.Connection{{Client: "192.0.2.1:5", State: status.ConnIdle}}})
		case "2/78":
			http.Error(w, "worker does not answer", http.StatusServiceUnavailable)
		default:
			http.NotFound(w, r)
		}
	})
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		asJSON(w, 200, status.Outcome{OK: true, Message: "reloaded 2 workers"})
	})
	mux.HandleFunc("POST /scale", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("workers") == "0" {
			asJSON(w, 400, status.Outcome{Message: "a pool has at least one worker"})
			return
		}
		asJSON(w, 409, status.Outcome{Message: "worker 3 does\x1bnot start"})
	})
	return mux
}

func TestQueriesAndOrders(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr, _ := endpoint(t, network, pool(4711))
			c, ctx := New(address.Address(addr)), t.Context()
			if p, err := c.Pool(ctx); err != nil || p.PID != 4711 || p.Slots != 2 {
				t.Errorf("pool %+v, %v", p, err)
			}
			if l, err := c.Connections(ctx, 1, 77); err != nil || len(l.Connections) != 1 || l.Connections[0].Client != "192.0.2.1:5" {
				t.Errorf("connections %+v, %v", l, err)
			}
			if o, err := c.Reload(ctx); err != nil || !o.OK || o.Message != "reloaded 2 workers" {
				t.Errorf("reload: %+v, %v", o, err)
			}
			if o, err := c.Scale(ctx, 3); err != nil || o.OK || o.Message != `worker 3 does\x1bnot start` {
				t.Errorf("scale: %+v, %v", o, err)
			}
			if o, err := c.Scale(ctx, 0); err != nil || o.OK || o.Message != "a pool has at least one worker" {
				t.Errorf("scale to 0: %+v, %v", o, err)
			}
			_, err := c.Connections(ctx, 3, 79)
			expect(t, err, "admin endpoint "+addr+": worker 3 (pid 79) no longer exists")
			_, err = c.Connections(ctx, 2, 78)
			expect(t, err, "admin endpoint "+addr+": worker 2 (pid 78) did not respond")
		})
	}
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

// A proxy in the environment is not used.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	addr, _ := endpoint(t, "tcp", pool(1))
	if _, err := New(address.Address(addr)).Pool(t.Context()); err != nil {
		t.Error(err)
	}
}

// The name of this machine may have an address of the loopback interface, where the server accepts
// no name but localhost.
func TestNameOfThisMachine(t *testing.T) {
	mux := pool(4711)
	addr, _ := endpoint(t, "tcp", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "localhost" {
			http.Error(w, "not accepted on the loopback interface", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	if p, err := New(address.Address(addr)).Pool(t.Context()); err != nil || p.PID != 4711 {
		t.Errorf("pool %+v, %v", p, err)
	}
}

// closed returns an address at which nobody listens until the end of the test: it is taken.
func closed(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
}

func TestNoServerListens(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tcp, absent := closed(t), filepath.Join(dir, "absent.sock")
	for _, c := range []struct {
		addr, want string
		cause      error
	}{
		{tcp, "connection refused; start the server with --admin " + tcp, syscall.ECONNREFUSED},
		{absent, "no such socket; start the server with --admin " + absent, fs.ErrNotExist},
		{stale, "connection refused: the server that created this socket has exited; start it again", syscall.ECONNREFUSED},
		{plain, "not a socket; give the same path as the server's --admin", nil},
		{"127.0.0.1:70000", "address 70000: invalid port", nil},
	} {
		_, err := New(address.Address(c.addr)).Pool(t.Context())
		expect(t, err, "admin endpoint "+c.addr+": "+c.want)
		if c.cause != nil && !errors.Is(err, c.cause) {
			t.Errorf("%v does not wrap %v", err, c.cause)
		}
		if _, again := New(address.Address(c.addr)).Stop(t.Context()); again == nil || again.Error() != err.Error() {
			t.Errorf("stop: %v", again)
		}
		if _, again := New(address.Address(c.addr)).Reload(t.Context()); again == nil || again.Error() != err.Error() {
			t.Errorf("reload: %v", again)
		}
	}
}

// Root may connect to any socket, so the error is made here.
func TestForeignSocket(t *testing.T) {
	addr, _ := endpoint(t, "unix", pool(1))
	c := New(address.Address(addr))
	denied := &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}
	err := c.explain(t.Context(), denied)
	expect(t, err, fmt.Sprintf("admin endpoint %s: permission denied; run this command as user %d", addr, os.Getuid()))
	if !errors.Is(err, fs.ErrPermission) {
		t.Error("the error does not wrap its cause")
	}
	c.addr = "/proc/1/no/such"
	expect(t, c.explain(t.Context(), denied), "admin endpoint /proc/1/no/such: permission denied; run this command as the user that runs master")
}

func TestOtherServers(t *testing.T) {
	reply := func(code int, kind, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			if code == 302 {
				w.Header().Set("Location", "http://192.0.2.1/")
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		})
	}
	for _, c := range []struct {
		name string
		h    http.Handler
		want string
	}{
		{"a page", reply(200, "text/html; charset=utf-8", "<p>"), `Content-Type "text/html" instead of application/json`},
		{"no type", reply(200, "", ""), `Content-Type "" instead of application/json`},
		{"404", reply(404, "text/plain", "no"), `status "404 Not Found"`},
		{"redirect", reply(302, "text/plain", ""), `status "302 Found"`},
		{"half", reply(200, "application/json", `{"pid":`), "invalid JSON: unexpected end of JSON input"},
		{"more", reply(200, "application/json", `{"pid":1,"state":"serving"} x`), "invalid JSON: invalid character 'x' after top-level value"},
		{"other JSON", reply(200, "application/json", `{"name":"x"}`), "unexpected JSON"},
		{"a list", reply(200, "application/json", `[]`), "invalid JSON: json: cannot unmarshal array into Go value of type status.Pool"},
		{"long", reply(200, "application/json", strings.Repeat(" ", 2<<20)), "response too large: more than 1 MiB"},
	} {
		addr, _ := endpoint(t, "tcp", c.h)
		client := New(address.Address(addr))
		client.limit = 1 << 20
		_, err := client.Pool(t.Context())
		expect(t, err, "admin endpoint "+addr+": not a Phalanx admin endpoint: "+c.want)
	}
}

// A server of another protocol, and one that closes without a response.
func TestNoHTTP(t *testing.T) {
	for greeting, want := range map[string]string{
		"220 mail.example ESMTP\r\n": `not a Phalanx admin endpoint: `,
		"":                           "the server closed the connection without a response",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.Read(make([]byte, 4096))
			conn.Write([]byte(greeting))
		}()
		_, err = New(address.Address(l.Addr().String())).Pool(t.Context())
		prefix := "admin endpoint " + l.Addr().String() + ": " + want
		if err == nil || !strings.HasPrefix(err.Error(), prefix) || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("after %q: %v", greeting, err)
		}
		<-done
		l.Close()
	}
}

// Over TCP orders are refused, whether the server wants a token first or not.
func TestOrdersNeedTheSocket(t *testing.T) {
	for _, code := range []int{http.StatusForbidden, http.StatusUnauthorized} {
		mux := pool(1)
		mux.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "orders need the unix socket", code)
		})
		addr, _ := endpoint(t, "tcp", mux)
		_, err := New(address.Address(addr)).Stop(t.Context())
		expect(t, err, "admin endpoint "+addr+": reload, stop and scale need a unix socket; start the server with --admin /PATH/TO/SOCKET and give the same path here")
	}
}

// An endpoint whose pool does not respond is one of Phalanx.
func TestPoolDoesNotRespond(t *testing.T) {
	addr, _ := endpoint(t, "unix", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "the pool did not respond", http.StatusServiceUnavailable)
	}))
	_, err := New(address.Address(addr)).Pool(t.Context())
	expect(t, err, "admin endpoint "+addr+": the pool did not respond; it hangs, or is about to exit")
}

func TestSlowResponse(t *testing.T) {
	release := make(chan struct{})
	addr, _ := endpoint(t, "unix", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer close(release)
	c := New(address.Address(addr))
	c.look = 20 * time.Millisecond
	_, err := c.Pool(t.Context())
	expect(t, err, "admin endpoint "+addr+": no response within 20ms")

	// An order has a longer timeout than a query, and ends with its context.
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	_, err = c.Reload(ctx)
	expect(t, err, "admin endpoint "+addr+": no response: context deadline exceeded")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("the error does not wrap its cause")
	}
}

// In whatever way the server exits, Stop waits for that and then reports it.
func TestStop(t *testing.T) {
	var looks atomic.Int32
	for name, last := range map[string]func(w http.ResponseWriter){
		"answers first": func(w http.ResponseWriter) { asJSON(w, 200, status.Outcome{OK: true, Message: "stopping"}) },
		"cut":           func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(name+" "+network, func(t *testing.T) {
				looks.Store(0)
				var server *httptest.Server
				ended := make(chan struct{})
				mux := http.NewServeMux()
				mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, r *http.Request) {
					asJSON(w, 200, status.Pool{PID: 7, State: status.Draining})
					if looks.Add(1) == 3 { // one before, two while it drains
						go func() { defer close(ended); server.Listener.Close() }()
					}
				})
				mux.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) { last(w) })
				addr, s := endpoint(t, network, mux)
				server = s
				c := New(address.Address(addr))
				c.pause = time.Millisecond
				o, err := c.Stop(t.Context())
				if err != nil || !o.OK || o.Message != "stopped" || looks.Load() < 3 {
					t.Errorf("%+v, %v after %d looks", o, err, looks.Load())
				}
				<-ended
			})
		}
	}
}

// A server that is started at once in place of the stopped one is a different server.
func TestStopAndSuccessor(t *testing.T) {
	var pid atomic.Int32
	pid.Store(7)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, r *http.Request) {
		asJSON(w, 200, status.Pool{PID: int(pid.Load()), State: status.Serving})
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
		pid.Store(8)
		asJSON(w, 200, status.Outcome{OK: true, Message: "stopping"})
	})
	addr, _ := endpoint(t, "unix", mux)
	o, err := New(address.Address(addr)).Stop(t.Context())
	if err != nil || !o.OK || o.Message != "stopped; another server, pid 8, listens there now" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestStopTakesTooLong(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	mux := http.NewServeMux()
	var looks atomic.Int32
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, r *http.Request) {
		asJSON(w, 200, status.Pool{PID: 7, State: status.Draining})
		if looks.Add(1) == 3 { // one before, two while it drains
			cancel()
		}
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
		asJSON(w, 200, status.Outcome{OK: true, Message: "stopping"})
	})
	addr, _ := endpoint(t, "unix", mux)
	c := New(address.Address(addr))
	c.pause = time.Millisecond
	_, err := c.Stop(ctx)
	expect(t, err, "admin endpoint "+addr+": stop requested, but pid 7 is still running")
}

func TestStopRefused(t *testing.T) {
	mux := pool(7)
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
		asJSON(w, 409, status.Outcome{OK: true, Message: "it stops already"})
	})
	addr, _ := endpoint(t, "unix", mux)
	o, err := New(address.Address(addr)).Stop(t.Context())
	if err != nil || o.OK || o.Message != "it stops already" {
		t.Errorf("%+v, %v", o, err)
	}
}
