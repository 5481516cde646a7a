package eventloop

import (
	"bytes"
	"strings"
	"testing"

	"phalanx/internal/accesslog"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
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
		l := newLineWith(t, nil, change)
		if secure {
			l = newLineWith(t, &credentials, change)
		}
		before := logged()
		half, silent := l.guest(), l.guest()
		half.send(testHeader[:11])
		guests := []*guest{half, silent}
		if !secure { // a handshake that has begun cannot be handed over
			asked := l.guest()
			asked.send(testHeader)
			asked.ask()
			before++
			guests = append(guests, asked)
		}
		servetest.Await(t, "all connections in a list", func() bool {
			reply := make(chan []serve.Seen, 1)
			l.last.Order(serve.List{Reply: reply})
			return len(<-reply) == len(guests)
		})
		for range 2 {
			l.succeed().Wait()
		}
		half.send(testHeader[11:])
		silent.send(testHeader)
		for _, g := range guests {
			if secure {
				g.Conn = servetest.Handshake(t, g.Conn, client)
				g.r.Reset(g.Conn)
			}
			g.ask()
			g.Close()
		}
		servetest.Await(t, "an access log line for each request", func() bool { return logged() == before+len(guests) })
		l.last.Stop()
	}
}
