package browser

import (
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestSiteOverHTTPS opens every page of the demo site over HTTPS, with a self-signed certificate
// that the browser accepts.
func TestSiteOverHTTPS(t *testing.T) {
	base := harness.SiteDir(t)
	s := harness.ServeAs(t, harness.Plan{Args: []string{"--base", base, "--listen", "https://127.0.0.1:0", "--tls-self-signed", "--keepalive", "5m", "-v"}})
	w := open(t, accepting(t, s))
	for _, file := range harness.FilesOf(t, base) {
		if path.Ext(file) == ".html" {
			w.visit(s, strings.TrimSuffix("/"+file, "index.html"))
		}
	}
	if !evaluate[bool](w, `window.isSecureContext && location.protocol === 'https:'`) {
		t.Error("the page has no secure context")
	}
	w.close()
	s.Stop(5 * time.Second)
	checkTraffic(t, s, true)
}

// TestStatusPageCertificates checks that the status page lists the certificates, both as served
// and as rendered by its script.
func TestStatusPageCertificates(t *testing.T) {
	t.Parallel()
	addr := harness.Loopback(harness.FreePort(t))
	harness.ServeAs(t, harness.Plan{Args: []string{
		"--base", harness.Tree(t, map[string]string{"index.html": "front"}), "--listen", "https://127.0.0.1:0", "--tls-self-signed", "-v", "--admin", addr,
	}})
	w := open(t)
	w.navigate("http://" + addr + "/status")
	listed := regexp.MustCompile(`^\s*localhostECDSA, expires in 39[67] d \d+ h\s*$`)
	w.awaitElement("#certificates", listed.MatchString)
	if evaluate[bool](w, `document.getElementById('certificates').replaceChildren(), document.querySelector('[aria-labelledby=tls]').hidden`) {
		t.Error("the list of certificates is hidden")
	}
	w.awaitElement("#certificates", listed.MatchString)
	w.reportProblems()
}
