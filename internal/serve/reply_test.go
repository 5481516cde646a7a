package serve_test

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// The deadline of an earlier wait does not end a later response.
func TestLaterResponseIsNotTimedOut(t *testing.T) {
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		dir := t.TempDir()
		big := servetest.Noise(t, dir+"/big", 16<<20)
		servetest.Noise(t, dir+"/small", 100)
		s := servetest.Start(t, dir, run, nil)
		c := s.DialWith(servetest.Get("/big"))
		time.Sleep(100 * time.Millisecond) // the socket buffers fill, and the worker waits
		r := bufio.NewReader(c)
		if _, body := servetest.Receive(t, r); !bytes.Equal(body, big) {
			t.Fatalf("%d bytes arrived, want %d", len(body), len(big))
		}
		time.Sleep(serve.ProgressEvery + 200*time.Millisecond)
		servetest.Send(t, c, servetest.Get("/small", "Connection: close"))
		if res, body := servetest.Receive(t, r); res.StatusCode != 200 || len(body) != 100 {
			t.Errorf("the later response: %s with %d bytes, want 200 with 100", res.Status, len(body))
		}
		c.Close()
		s.Stop()
	})
}

// Stray bytes before the client's end do not reset the connection during the response.
func TestStrayBytesAndEnd(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		dir := t.TempDir()
		big := servetest.Noise(t, dir+"/big", 16<<20)
		s := servetest.Start(t, dir, run, nil)
		c := s.DialWith(servetest.Get("/big", "Connection: close"))
		time.Sleep(50 * time.Millisecond)
		servetest.Send(t, c, "\r\n")
		c.CloseWrite()
		time.Sleep(50 * time.Millisecond)
		if _, body := servetest.Receive(t, bufio.NewReader(c)); !bytes.Equal(body, big) {
			t.Errorf("%d bytes arrived, want %d", len(body), len(big))
		}
		c.Close()
		s.Stop()
	})
}

// Lingering is bounded, whatever the client keeps sending.
func TestLingerEnds(t *testing.T) {
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		clock := fast(10) // five seconds take half a second
		s := servetest.Start(t, t.TempDir(), run, func(cfg *serve.Config) {
			cfg.Recv, cfg.Clock = 16, clock
			cfg.Conn.KeepAlive = time.Hour
		})
		c := s.DialWith("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
		_, began := clock()
		junk := []byte(strings.Repeat("x", 4096))
		for {
			if _, err := c.Write(junk); err != nil {
				break
			}
			if _, now := clock(); now-began > 50*time.Second { // no other timeout is shorter than a minute
				t.Error("the connection is still open after 50 s of the server's clock")
				break
			}
		}
		c.Close()
		s.Stop()
	})
}
