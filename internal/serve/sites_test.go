package serve_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"phalanx/internal/accesslog"
	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// oneOf finds one site for the hosts "a" and "b", and none for others.
type oneOf struct{ conn.Site }

func (o oneOf) Find(host []byte) (conn.Site, int) {
	if n := bytes.Index([]byte("ab"), host) + 1; n > 0 && len(host) == 1 {
		return o.Site, n
	}
	return nil, 0
}

func (oneOf) Done(conn.Site, int) {}

// Requests and bytes are counted for the site of their host, and its name and port are in the access log.
func TestSitesCounted(t *testing.T) {
	dir := withFile(t, 1000)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		var row scoreboard.Row
		access, logged := logTo(t, accesslog.VhostCombined)
		s := servetest.Start(t, dir, run, func(c *serve.Config) {
			c.Row, c.SiteNames = &row, []string{"*", "a.org", "b.org"}
			c.Access = access
			c.Conn.Sites, c.Conn.Site = oneOf{c.Conn.Site}, nil
		})
		c := s.Dial()
		to := func(host, path string, more ...string) string {
			return strings.Join(append([]string{"GET " + path + " HTTP/1.1", "Host: " + host}, more...), "\r\n") + "\r\n\r\n"
		}
		servetest.Send(t, c, to("b", "/f")+to("a:81", "/none")+to("b", "/f")+to("x", "/f", "Connection: close"))
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Fatal(err)
		}
		c.Close()
		s.Stop()
		read := func(n int) (all [6]uint64) {
			for i := range all {
				all[i] = row.Sites[n].Requests[i].Load()
			}
			return all
		}
		if read(0) != [6]uint64{4: 1} || read(1) != [6]uint64{4: 1} || read(2) != [6]uint64{2: 2} || row.Sites[2].Bytes.Load() != 2000 {
			t.Errorf("requests by site %v, %v, %v; site b sent %d bytes", read(0), read(1), read(2), row.Sites[2].Bytes.Load())
		}
		_, port, _ := strings.Cut(c.RemoteAddr().String(), ":")
		for _, want := range []string{"b.org:%s 127.0.0.1 - - [", "\na.org:%s 127.0.0.1 - - [", "\n*:%s 127.0.0.1 - - ["} {
			if text := string(logged()); !strings.Contains(text, fmt.Sprintf(want, port)) {
				t.Errorf("%q with port %s is missing in the access log:\n%s", want, port, text)
			}
		}
	})
}
