package e2e

import (
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
)

// TestScrapeUpgraded looks at a server over a new connection each time, as
// curl and `master status` do, while its program is replaced: every look is
// answered.
func TestScrapeUpgraded(t *testing.T) {
	t.Parallel()
	dir := copies(t, "master", "worker")
	o := operated(t, plan{binary: filepath.Join(dir, "master"), args: []string{"--base", tree(t, nil), "--workers", "2"}})
	o.http.Transport.(*http.Transport).DisableKeepAlives = true
	w := o.watch()
	for range 3 {
		old := o.workers()
		o.signal(syscall.SIGUSR2)
		o.reloaded(old)
	}
	w.leave()
}
