package serve_test

import (
	"bufio"
	"io"
	"os"
	"testing"
	"time"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// The serial model serves one connection after another.
func TestSerial(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, dir+"/f", large)
	servetest.Noise(t, dir+"/small", 10)
	s := servetest.Start(t, dir, runNetpoll, func(cfg *serve.Config) { cfg.Conn.Single = true })
	first, second := s.Dial(), s.Dial()
	res, _ := servetest.Begin(t, first, "/f", 1000)
	servetest.Send(t, second, servetest.Get("/small"))
	second.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := second.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatalf("the second client is served during the first download: %d bytes, error %v", n, err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n != large-1000 || err != nil || !res.Close {
		t.Errorf("the first download: %d bytes more, error %v, close %v", n, err, res.Close)
	}
	second.SetReadDeadline(time.Now().Add(time.Minute))
	if res, body := servetest.Receive(t, bufio.NewReader(second)); !res.Close || len(body) != 10 {
		t.Errorf("the second response: %s, close %v", res.Status, res.Close)
	}
	s.Stop()
}
