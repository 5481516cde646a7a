package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/internal/observe/status"
)

// Any number of clients that send half a request or nothing do not keep others out, even
// before they time out.
func TestSlowClientsKeepNobodyOut(t *testing.T) {
	s := start(t, ample)
	for i := range 3 * maxClients {
		c := dial(t, s.tcp)
		if i%2 == 0 {
			io.WriteString(c, "GET /status HTTP/1.1\r\nHost: localhost\r\n")
		}
	}
	begin := time.Now()
	get(t, client(s.tcp), "GET", "/healthz", 200)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the request took %v", took)
	}
}

// Nor do clients that request much and read nothing.
func TestUnreadResponsesKeepNobodyOut(t *testing.T) {
	s := start(t, ample)
	for range 2 * maxClients {
		c := dial(t, s.unix)
		// Not all of it may fit if the server stops reading first.
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		io.WriteString(c, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 500))
	}
	get(t, client(s.unix), "GET", "/healthz", 200)
}

// A client that sends nothing is disconnected when it times out.
func TestHalfRequestEnds(t *testing.T) {
	s := start(t, short)
	c := dial(t, s.unix)
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET /status HTTP/1.1\r\nHo")
	if text, err := io.ReadAll(c); err != nil && !errors.Is(err, net.ErrClosed) || strings.Contains(string(text), "200") {
		t.Errorf("%q, %v", text, err)
	}
}

// When all connections are in use by requests under way, the next one waits until one is
// free.
func TestBusyConnectionsAreNotEvicted(t *testing.T) {
	s := start(t, ample)
	var inside sync.WaitGroup
	inside.Add(maxClients)
	leave := make(chan struct{})
	s.pool.order = func(context.Context) status.Outcome {
		inside.Done()
		<-leave
		return status.Outcome{OK: true}
	}
	replies := make(chan int, maxClients) // one from each
	for range maxClients {
		go func() {
			reply, err := client(s.unix).Post("http://localhost/reload", "", nil)
			if err != nil {
				replies <- 0
				return
			}
			reply.Body.Close()
			replies <- reply.StatusCode
		}()
	}
	inside.Wait()
	last := make(chan string)
	go func() {
		reply, err := client(s.unix).Get("http://localhost/healthz")
		if err != nil {
			last <- err.Error()
			return
		}
		reply.Body.Close()
		last <- reply.Status
	}()
	select {
	case got := <-last:
		t.Errorf("an extra connection is served: %s", got)
	case <-time.After(100 * time.Millisecond):
	}
	close(leave)
	if got := <-last; got != "200 OK" {
		t.Error(got)
	}
	for range maxClients {
		if code := <-replies; code != 200 {
			t.Errorf("an order has status %d", code)
		}
	}
}

func TestManyScrapes(t *testing.T) {
	// On a busy machine a client may need longer than the server waits.
	s := start(t, limits{head: time.Minute, read: time.Minute, write: time.Minute, idle: time.Minute, grace: time.Second, evict: time.Minute})
	var wg sync.WaitGroup
	for i := range 200 {
		where := []string{s.tcp, s.unix}[i%2]
		wg.Go(func() {
			reply, err := client(where).Get("http://localhost/metrics")
			if err != nil {
				t.Error(err)
				return
			}
			defer reply.Body.Close()
			body, err := io.ReadAll(reply.Body)
			if err != nil || reply.StatusCode != 200 || !strings.Contains(string(body), "\nphalanx_slots 3\n") {
				t.Errorf("%s, %d bytes, %v", reply.Status, len(body), err)
			}
		})
	}
	wg.Wait()
}

// A persistent connection serves any number of requests. If it is closed to make room, its
// client opens another one.
func TestPersistentConnection(t *testing.T) {
	s := start(t, ample)
	kept := client(s.tcp)
	kept.Transport.(*http.Transport).DisableKeepAlives = false
	defer kept.CloseIdleConnections()
	connections := map[string]bool{} // by our own address
	ask := func() {
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { connections[c.Conn.LocalAddr().String()] = true }}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", "http://localhost/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := kept.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		if _, err := io.ReadAll(reply.Body); err != nil || reply.StatusCode != 200 {
			t.Errorf("%s, %v", reply.Status, err)
		}
	}
	for range 5 {
		ask()
	}
	if len(connections) != 1 {
		t.Errorf("%d connections were opened, want 1", len(connections))
	}
	for range 2 * maxClients {
		dial(t, s.tcp)
	}
	get(t, client(s.tcp), "GET", "/healthz", 200) // behind all of them
	ask()
	if len(connections) != 2 {
		t.Errorf("%d connections were opened, want 2", len(connections))
	}
}
