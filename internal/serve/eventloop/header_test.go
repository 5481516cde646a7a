package eventloop

import (
	"bytes"
	"strings"
	"testing"

	"phalanx/internal/accesslog"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

const (
	testHeader = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n"
	testClient = "203.0.113.7"
)

// A connection that is handed over keeps the client from its PROXY header, or the received part of the header, with and
// without TLS.
func TestHandOverProxied(t *testing.T) {
	bell, err := accesslog.NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	defer bell.Close()
	ring, err := accesslog.NewRing(make([]byte, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	access := accesslog.NewLogger(accesslog.Combined, ring, bell.Out)
	logged := func() int {
		a, b := ring.Readable()
		all := string(bytes.Join([][]byte{a, b}, nil))
		if n := strings.Count(all, "\n"); strings.Count(all, testClient+" - - [") != n {
			t.Fatalf("other clients are logged:\n%s", all)
		}
		return strings.Count(all, "\n")
	}
	change := func(cfg *serve.Config) { cfg.Access, cfg.Proxied = access, loopback(t) }
	credentials, client := servetest.Credentials(t, nil)
	for _, secure := range []bool{false, true} {
		l := newLoopsWith(t, nil, change)
		if secure {
			l = newLoopsWith(t, &credentials, change)
		}
		before := logged()
		half, silent := l.client(), l.client()
		half.send(testHeader[:11])
		clients := []*loopClient{half, silent}
		if !secure { // a handshake that has begun cannot be handed over
			asked := l.client()
			asked.send(testHeader)
			asked.ask()
			before++
			clients = append(clients, asked)
		}
		systest.Await(t, "all connections in a list", func() bool {
			reply := make(chan []serve.Seen, 1)
			l.last.Order(serve.List{Reply: reply})
			return len(<-reply) == len(clients)
		})
		for range 2 {
			l.replace().Wait()
		}
		half.send(testHeader[11:])
		silent.send(testHeader)
		for _, c := range clients {
			if secure {
				c.Conn = servetest.Handshake(t, c.Conn, client)
				c.r.Reset(c.Conn)
			}
			c.ask()
			c.Close()
		}
		systest.Await(t, "an access log line for each request", func() bool { return logged() == before+len(clients) })
		l.last.Stop()
	}
}
