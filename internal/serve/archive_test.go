package serve_test

import (
	"archive/tar"
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/site"
	"phalanx/internal/systest"
	"phalanx/internal/website"
)

// archives makes a server offer archives of a directory.
func archives(t *testing.T, dir string) (change func(*serve.Config), done func()) {
	t.Helper()
	root, err := site.Open(dir, site.Policy{Archive: true, Name: "all"})
	if err != nil {
		t.Fatal(err)
	}
	return func(cfg *serve.Config) {
		cfg.Conn.Site, cfg.Conn.Archive = website.Uncached(root), site.ArchiveFormat
	}, func() { root.Close() }
}

// An archive is sent completely, in response to several requests on one connection.
func TestArchive(t *testing.T) {
	dir := t.TempDir()
	want := servetest.Noise(t, dir+"/big", 3<<20)
	servetest.Noise(t, dir+"/small", 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		change, done := archives(t, dir)
		defer done()
		s := servetest.Start(t, dir, run, change)
		c := s.Dial()
		defer c.Close()
		r := bufio.NewReader(c)
		for range 3 {
			servetest.Send(t, c, servetest.Get("/?archive=tar"))
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Disposition") != `attachment; filename="all.tar"; filename*=UTF-8''all.tar` {
				t.Fatal(res, err)
			}
			var names []string
			files := tar.NewReader(res.Body)
			for h, err := files.Next(); err != io.EOF; h, err = files.Next() {
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(files)
				if names = append(names, h.Name); err != nil || h.Name == "all/big" && string(text) != string(want) {
					t.Errorf("%s: wrong content of %d bytes, error %v", h.Name, len(text), err)
				}
			}
			if len(names) != 3 {
				t.Errorf("entries %q, want 3", names)
			}
			io.Copy(io.Discard, res.Body)
		}
		servetest.Send(t, c, servetest.Get("/small"))
		if res, body := servetest.Receive(t, r); res.StatusCode != 200 || len(body) != 10 {
			t.Errorf("the next request: %s, %d bytes; want 200 with 10", res.Status, len(body))
		}
		c.Close()
		s.Stop()
	})
}

// Clients that read nothing occupy an archive each and do not delay others. Beyond a number of them there is 503
// until they disconnect, which ends their archives at once.
func TestArchivesOfSlowClients(t *testing.T) {
	dir := t.TempDir()
	servetest.Sparse(t, dir+"/huge", 1<<40)
	servetest.Noise(t, dir+"/small", 10)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		change, done := archives(t, dir)
		s := servetest.Start(t, dir, run, change)
		status := func() (code int, retry string) {
			c := s.Dial()
			defer c.Close()
			servetest.Send(t, c, servetest.Get("/?archive=zip", "Connection: close"))
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(line, " 503 ") {
				return 503, line
			}
			return 200, line
		}
		var slow []io.Closer
		for {
			c := s.DialWith(servetest.Get("/?archive=tar"))
			head, err := bufio.NewReaderSize(c, 16).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if slow = append(slow, c); strings.Contains(head, " 503 ") {
				break
			}
		}
		if len(slow) < 2 || len(slow) > 10 {
			t.Errorf("%d archives at once, want 1 to 9", len(slow)-1)
		}
		c := s.DialWith(servetest.Get("/small", "Connection: close"))
		if res, body := servetest.Receive(t, bufio.NewReader(c)); res.StatusCode != 200 || len(body) != 10 {
			t.Errorf("a request beside them: %s, %d bytes; want 200 with 10", res.Status, len(body))
		}
		c.Close()
		for _, c := range slow {
			c.Close()
		}
		systest.Await(t, "room for another archive", func() bool { code, _ := status(); return code == 200 })
		s.Stop()
		ended := make(chan struct{})
		go func() { done(); close(ended) }() // waits for the goroutines that make archives
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatal("an archive is still being made after its client has disconnected")
		}
	})
}
