package serve_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// Files of all sizes arrive byte for byte on one connection, with several read sizes.
func TestDelivery(t *testing.T) {
	dir := t.TempDir()
	sizes := []int{0, 1, 1000, serve.InlineMax - 1, serve.InlineMax, serve.InlineMax + 1, serve.OutSize, 1 << 20, 1<<20 + 1, 5 << 20}
	files := map[string][]byte{}
	for _, n := range sizes {
		name := fmt.Sprintf("/f%d", n)
		files[name] = servetest.Noise(t, filepath.Join(dir, name), n)
	}
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		for _, recv := range []int{1, 100, 65536} {
			s := servetest.Start(t, dir, run, func(cfg *serve.Config) { cfg.Recv = recv })
			c := s.Dial()
			r := bufio.NewReader(c)
			for name, want := range files {
				servetest.Send(t, c, servetest.Get(name))
				if res, got := servetest.Receive(t, r); !bytes.Equal(got, want) || res.ContentLength != int64(len(want)) {
					t.Errorf("recv %d, %s: %d bytes, want the %d of the file", recv, name, len(got), len(want))
				}
			}
			servetest.Send(t, c, servetest.Get("/nope")+servetest.Get("/f5242880", "Range: bytes=1000000-4999999"))
			if res, _ := servetest.Receive(t, r); res.StatusCode != 404 {
				t.Errorf("recv %d: %s, want 404", recv, res.Status)
			}
			if res, got := servetest.Receive(t, r); res.StatusCode != 206 || !bytes.Equal(got, files["/f5242880"][1000000:5000000]) {
				t.Errorf("recv %d: %s, %d bytes; want the range with 206", recv, res.Status, len(got))
			}
			c.Close()
			s.Stop()
		}
	})
}

// Many pipelined requests get their responses in order, large and small.
func TestPipelining(t *testing.T) {
	dir := t.TempDir()
	small, large := servetest.Noise(t, dir+"/small", 3000), servetest.Noise(t, dir+"/large", 200<<10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		for _, recv := range []int{1, 100, 65536} {
			s := servetest.Start(t, dir, run, func(cfg *serve.Config) { cfg.Recv = recv })
			c := s.Dial()
			go io.WriteString(c, strings.Repeat(servetest.Get("/small")+servetest.Get("/large")+servetest.Get("/small"), 20)+servetest.Get("/small", "Connection: close"))
			r := bufio.NewReader(c)
			for i := range 61 {
				want := small
				if i%3 == 1 {
					want = large
				}
				if res, got := servetest.Receive(t, r); !bytes.Equal(got, want) || res.Close != (i == 60) {
					t.Fatalf("recv %d, response %d: %d bytes, want %d; close %v", recv, i, len(got), len(want), res.Close)
				}
			}
			if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
				t.Errorf("%d bytes after the last response, error %v", len(rest), err)
			}
			c.Close()
			s.Stop()
		}
	})
}
