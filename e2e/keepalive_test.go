package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestKeepAlive closes an idle connection after the time that was set, and
// not before; each request begins the time anew.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, parallelModels(), func(t *testing.T, model string) {
		s := serve(t, base, "--model", model, "--keepalive", "1s")
		c := s.dial()
		for range 3 {
			if r := s.mustAsk(c, request("GET", "/")); r.closes() {
				t.Error("Connection: close on a connection that stays open")
			}
			if err := c.quiet(600 * time.Millisecond); err != nil {
				t.Fatalf("idle for 0.6 s of 1 s: %v", err)
			}
		}
		began := time.Now()
		s.mustAsk(c, request("HEAD", "/"))
		s.mustEnd(c, 3*time.Second, "idle for longer than a second")
		if took := time.Since(began); took < 900*time.Millisecond {
			t.Errorf("closed after %v, want 1s", took)
		}
	})
}

// quiet expects that nothing comes for a while, not even the end.
func (c *client) quiet(during time.Duration) error {
	err := c.ended(during)
	if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
		return c.SetDeadline(time.Now().Add(patience))
	}
	return fmt.Errorf("want quiet, got %v", err)
}

// TestPatience waits out the times that are not flags: a head must be
// complete within 10 s of its first byte, however slowly its bytes come, and
// an idle connection stays open for at least as long.
func TestPatience(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	var idle, stuck, dripping []*client
	var servers []*server
	for _, model := range models() {
		s := serve(t, base, "--model", model)
		servers = append(servers, s)
		stuck = append(stuck, s.dial())
		if model == "serial" {
			continue
		}
		c := s.dial()
		s.mustAsk(c, request("GET", "/"))
		idle = append(idle, c)
		dripping = append(dripping, s.dial())
	}
	began := time.Now()
	for _, c := range append(stuck, dripping...) {
		if err := c.send("GET / HTTP/1.1\r\nX: "); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, len(dripping))
	for _, c := range dripping {
		go func() { done <- c.drip(19 * time.Second) }()
	}
	for i, c := range append(stuck, dripping...) {
		r, err := c.reply("GET")
		took := time.Since(began)
		if err != nil || r.status != 408 || !r.closes() {
			t.Errorf("client %d, half a head: %v %v, want 408 and close", i, r, err)
		}
		if took < 9*time.Second || took > 13*time.Second {
			t.Errorf("client %d was given up after %v, want 10s", i, took)
		}
	}
	for _, c := range stuck {
		servers[0].mustEnd(c, 3*time.Second, "after 408")
	}
	for range dripping {
		if err := <-done; err == nil {
			t.Error("the dripping client was never cut off")
		}
	}
	for _, c := range idle {
		if r, err := c.ask(request("GET", "/")); err != nil || string(r.body) != "front" {
			t.Errorf("a connection that was idle for 10 of 30 s: %v %v", r, err)
		}
	}
	for _, s := range servers {
		s.mustServe("/", "front")
	}
}

// drip sends a byte every 200 ms until it cannot.
func (c *client) drip(during time.Duration) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end); <-tick.C {
		if err := c.send("x"); err != nil {
			return err
		}
	}
	return nil
}

// TestStalledClient asks for a lot and takes nothing: after a minute the
// server gives it up, so that nobody holds a worker for ever.
func TestStalledClient(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, base+"/big.bin", 1<<30)
	var servers []*server
	var stalled []*download
	began := time.Now()
	for _, model := range models() {
		s := serve(t, base, "--model", model)
		servers = append(servers, s)
		stalled = append(stalled, s.begin("/big.bin", 16<<10))
	}
	for i, s := range servers {
		d := stalled[i]
		e := s.awaitRequestWithin(75*time.Second, d.client)
		if took := time.Since(began); took < 55*time.Second {
			t.Errorf("%s: given up after %v, want 60s", models()[i], took)
		}
		if e.number("bytes") >= int(d.length) {
			t.Errorf("%s: logged as complete: %v", models()[i], e)
		}
		if err := d.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if err := d.rest(); err == nil {
			t.Errorf("%s: the download went on", models()[i])
		}
		s.mustServe("/", "front")
	}
}

// TestPipeline sends many requests in one piece and expects the answers in
// their order.
func TestPipeline(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	var all strings.Builder
	for i := range 40 {
		name := fmt.Sprintf("%d.txt", i)
		files[name] = strings.Repeat(name, 1+i*i)
		method := "GET"
		if i%5 == 4 {
			method = "HEAD"
		}
		all.WriteString(request(method, "/"+name))
	}
	base := tree(t, files)
	for _, model := range models() {
		for _, recv := range []string{"1", "100", "65536"} {
			t.Run(model+"/"+recv, func(t *testing.T) {
				t.Parallel()
				s := serve(t, base, "--model", model, "--recv", recv)
				c := s.dial()
				if err := c.send(all.String() + request("GET", "/0.txt", "Connection: close")); err != nil {
					t.Fatal(err)
				}
				for i := range 40 {
					method, want := "GET", files[fmt.Sprintf("%d.txt", i)]
					if i%5 == 4 {
						method, want = "HEAD", ""
					}
					r, err := c.reply(method)
					if err != nil || r.status != 200 || string(r.body) != want {
						t.Fatalf("answer %d: %v, want 200 with %d bytes (%v)", i, r, len(want), err)
					}
					if model == "serial" {
						// One reply and the end, as the original did.
						s.mustEnd(c, 2*time.Second, "after the one answer")
						return
					}
				}
				if r, err := c.reply("GET"); err != nil || !r.closes() {
					t.Errorf("the last answer: %v %v", r, err)
				}
				s.mustEnd(c, 2*time.Second, "after Connection: close")
			})
		}
	}
}

// TestPersistence is the rules of HTTP/1.1 and 1.0 about who closes when.
func TestPersistence(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	cases := []struct {
		name, text string
		stays      bool
		field      string // Connection of the reply
	}{
		{"1.1", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, ""},
		{"1.1 close", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false, "close"},
		{"1.1 in a list", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Foo , CLOSE\r\nFoo: 1\r\n\r\n", false, "close"},
		{"1.1 second field", "GET / HTTP/1.1\r\nHost: x\r\nConnection: foo\r\nConnection: close\r\n\r\n", false, "close"},
		{"1.1 not found", "GET /no HTTP/1.1\r\nHost: x\r\n\r\n", true, ""},
		{"1.1 malformed", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", false, "close"},
		{"1.0", "GET / HTTP/1.0\r\n\r\n", false, "close"},
		{"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "keep-alive"},
		{"1.0 both", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, "close"},
		{"0.9", "GET /\r\n\r\n", false, "close"},
		{"siege", "GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: Mozilla/5.0 (pc-x86_64-linux-gnu) Siege/4.0.7\r\nConnection: close\r\n\r\n", false, "close"},
		{"empty line first", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", true, ""},
		{"body read away", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 23\r\n\r\nGET /no HTTP/1.1\r\nHost:", true, ""},
	}
	each(t, parallelModels(), func(t *testing.T, model string) {
		s := serve(t, base, "--model", model)
		for _, c := range cases {
			conn := s.dial()
			if err := conn.send(c.text); err != nil {
				t.Fatal(err)
			}
			r, err := conn.reply("GET")
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if field := strings.ToLower(r.header.Get("Connection")); field != c.field {
				t.Errorf("%s: Connection: %q, want %q", c.name, field, c.field)
			}
			if !c.stays {
				s.mustEnd(conn, 2*time.Second, c.name)
				continue
			}
			if again := s.mustAsk(conn, request("GET", "/")); string(again.body) != "front" {
				t.Errorf("%s: then %d %q", c.name, again.status, again.body)
			}
		}
	})
}

// TestSilentClient connects and says nothing, many times over; others must
// not notice. So does a client that does not read.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	sparse(t, base+"/big.bin", 1<<30)
	for _, model := range models() {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			s := serve(t, base, "--model", model, "--workers", "1")
			for range 20 {
				s.dial()
			}
			if model != "serial" {
				half := s.dial()
				if err := half.send("GET / HTTP/1.1\r\n"); err != nil {
					t.Fatal(err)
				}
				s.begin("/big.bin", 4<<10)
			}
			began := time.Now()
			for range 20 {
				s.mustServe("/", "front")
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("20 requests beside silent clients took %v", took)
			}
		})
	}
}

// TestHalfClosed sends a request and the end of the client's side.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"index.html": "front"})
	each(t, models(), func(t *testing.T, model string) {
		s := serve(t, base, "--model", model)
		c := s.dial()
		if err := c.send(request("GET", "/")); err != nil {
			t.Fatal(err)
		}
		if half, ok := c.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
			t.Fatal("the connection cannot be half closed")
		}
		if r, err := c.reply("GET"); err != nil || string(r.body) != "front" {
			t.Errorf("%v %v", r, err)
		}
		s.mustEnd(c, 2*time.Second, "a client that will ask no more")
	})
}
