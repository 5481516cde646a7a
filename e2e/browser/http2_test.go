package browser

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// pixel is an image of one pixel.
const pixel = "<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'><rect width='1' height='1'/></svg>"

// TestManyPictures loads a page with 200 pictures, a style sheet and a script over one HTTP/2
// connection.
func TestManyPictures(t *testing.T) {
	t.Parallel()
	const pictures, all = 200, 203
	page := "<!DOCTYPE html><html lang=en><title>pictures</title><link rel=icon href='data:,'><link rel=stylesheet href=style.css>" +
		"<h1>Two hundred pictures</h1><p>All of them are one pixel.</p><script src=script.js></script>"
	files := map[string]string{"style.css": "h1 { color: rgb(1, 2, 3) }", "script.js": "document.body.dataset.script = 'has run'"}
	for i := range pictures {
		name := fmt.Sprintf("%d.svg", i)
		page += "<img alt='' src=" + name + ">"
		files[name] = strings.Repeat(" ", i*20) + pixel
	}
	files["index.html"] = page
	s := harness.ServeAs(t, harness.Plan{Args: []string{"--base", harness.Tree(t, files), "--listen", "https://127.0.0.1:0", "--tls-self-signed", "-v"}})
	w := open(t, accepting(t, s))
	w.visit(s, "/")
	// What the browser reports: all responses came over h2, and all pictures are shown.
	shown := evaluate[int](w, `Array.from(document.images).filter(i => i.complete && i.naturalWidth > 0).length`)
	styled := evaluate[string](w, `getComputedStyle(document.querySelector('h1')).color + ', the script ' + document.body.dataset.script`)
	spoken := evaluate[int](w, `performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).filter(e => e.nextHopProtocol === 'h2').length`)
	if shown != pictures || spoken != all || styled != "rgb(1, 2, 3), the script has run" {
		t.Errorf("%d pictures shown, want %d; %d responses over h2, want %d; style and script: %s", shown, pictures, spoken, all, styled)
	}
	w.close()
	s.Stop(5 * time.Second)
	if n := len(overOneConnection(t, s)); n != all {
		t.Errorf("%d requests, want %d", n, all)
	}
}

// overOneConnection returns the paths of all requests in the order of their completion. It reports
// an error unless they came over one HTTP/2 connection.
func overOneConnection(t *testing.T, s *harness.Server) (paths []string) {
	t.Helper()
	clients := map[string]int{}
	all, _ := s.Log.All()
	for _, e := range harness.WithMessage(all, "request") {
		if e.Text("protocol") != "HTTP/2.0" || e.Number("status") != http.StatusOK || e.Text("reason") != "" {
			t.Errorf("logged as %v, want protocol HTTP/2.0 and status 200", e)
		}
		clients[e.Text("client")]++
		paths = append(paths, e.Text("path"))
	}
	if len(clients) != 1 {
		t.Errorf("the requests came over several connections: %v", clients)
	}
	return paths
}

// accepting makes the browser accept a server's self-signed certificate.
func accepting(t *testing.T, s *harness.Server) chromedp.ExecAllocatorOption {
	t.Helper()
	conn, err := tls.Dial("tcp", harness.Loopback(s.Port), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	key := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(key[:]))
}
