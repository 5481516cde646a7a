package eventloop

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/rescue"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// gate accepts all credentials once it is open.
type gate struct {
	open bool
	wake func()
}

func (g *gate) Realm(int) string { return "x" }

func (g *gate) Check(int, []byte, netip.Addr) (proto.Status, time.Duration, conn.Check) {
	return 0, 0, g
}

func (g *gate) Status() proto.Status {
	if g.open {
		return proto.StatusOK
	}
	return 0
}

func (g *gate) Await(wake func()) bool {
	g.wake = wake
	return true
}

func (g *gate) Close() {}

// A request with content cannot be answered elsewhere while its credentials are checked; one without content can. After
// the check, the record has every received byte.
func TestRescueDuringCheck(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/private", 100)
	servetest.Noise(t, dir+"/public", 10)
	root, err := site.Open(dir, site.Policy{Areas: []site.Area{{Pattern: "private"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	const ann = "Authorization: Basic YW5uOnJpZ2h0"
	for name, one := range map[string]struct {
		ask  string
		want rescue.Verdict
	}{
		"without content": {servetest.Get("/private", ann), rescue.GoesOn},
		"with content":    {servetest.Get("/private", ann, "Content-Length: 5") + "hello", rescue.Fixed},
	} {
		for before, text := range map[string]string{"first": "", "pipelined": servetest.Get("/public")} {
			t.Run(name+" "+before, func(t *testing.T) {
				g := &gate{}
				cfg := relayConfig(website.Uncached(root))
				cfg.Conn.Passwords = g
				r := newRelay(t, cfg, listener, addr, text+one.ask)
				defer r.close()
				find := func() rescue.Found {
					t.Helper()
					received, sent, err := rescue.Count(r.fd)
					if err != nil {
						t.Fatal(err)
					}
					return rescue.NewReader(r.memory).Find(r.fd, received, sent)
				}
				r.write(1 << 16)
				if g.wake == nil {
					t.Fatal("no credentials are checked")
				}
				f := find()
				if f.Verdict != one.want || f.Verdict == rescue.GoesOn && string(f.Held) != one.ask {
					t.Errorf("during the check, the verdict is %d with %q, want %d", f.Verdict, f.Held, one.want)
				}
				g.open = true
				g.wake()
				r.l.fetched()
				r.finish()
				if f := find(); f.Verdict != rescue.GoesOn || len(f.Held) > 0 {
					t.Errorf("after the check, the verdict is %d with %q, want %d with nothing", f.Verdict, f.Held, rescue.GoesOn)
				}
				r.input = servetest.Get("/public")
				r.finish()
				if f := find(); f.Verdict != rescue.GoesOn || len(f.Held) > 0 {
					t.Errorf("after the next request, the verdict is %d with %q, want %d with nothing", f.Verdict, f.Held, rescue.GoesOn)
				}
			})
		}
	}
}
