package acme

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	protocol "github.com/mholt/acmez/v3/acme"

	"phalanx/internal/acme/acmetest"
)

// An attempt that got a certificate issued counts against the authority's limits, even if
// the certificate is of no use: the next one is not made within seconds.
func TestIssuedInVain(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	cfg := setting(t, &acmetest.Authority{Directory: "https://authority.test/"}, w, "one.test")
	cfg.Delays = UsualDelays()
	for name, err := range map[string]error{
		"not usable":   fmt.Errorf("it sent one that is not usable: %w", errors.New("it is not for one.test")),
		"not received": &url.Error{Op: "Post", URL: "https://authority.test/", Err: errors.New("connection reset by peer")},
		"its problem":  protocol.Problem{Status: 503, Detail: "maintenance"},
		"none":         errNoChain(nil),
	} {
		c, failed := New(cfg)
		if failed != nil {
			t.Fatal(failed)
		}
		asked := time.Now().Round(0)
		c.note(c.hosts[0], attempt{Asked: asked})
		c.failed(c.hosts[0], received(err))
		if next := time.Until(c.hosts[0].retryAt); next < 10*time.Minute {
			t.Errorf("%s: next attempt in %v", name, next)
		}
		if kept := c.kept.attempts()["one.test"]; !kept.Asked.Equal(asked) {
			t.Errorf("%s: %+v is kept", name, kept)
		}
		if _, counts := c.Status(); counts != (Counts{Refused: 1}) {
			t.Errorf("%s: %+v", name, counts)
		}
	}
}
