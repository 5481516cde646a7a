package top

import (
	"fmt"
	"strings"
	"testing"

	"phalanx/internal/observe/status"
)

// The busiest sites come first. A long list is truncated.
func TestSitesShown(t *testing.T) {
	p := aPool(1)
	p.Base = "/srv/www"
	if got := Snapshot(p, 80); strings.Contains(got, "\nsite") {
		t.Errorf("one site is listed:\n%s", got)
	}
	newBench(t, p, 100, 30).expect("serves /srv/www")
	p.Base = ""
	p.Sites = []status.Site{{Name: "*", Requests: map[string]uint64{"4xx": 2}}}
	for i := range 12 {
		p.Sites = append(p.Sites, status.Site{
			Name: fmt.Sprintf("%d.example.org", i), Base: "/srv/org", Requests: map[string]uint64{"2xx": uint64(1000 * i), "3xx": 1}, Bytes: 5e6,
		})
	}
	got := Snapshot(p, 80)
	for _, want := range []string{"\nsite        11.example.org, /srv/org, 11,001 requests, 5.00 MB\nsite        10.example", "\nsite        3 more\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\nbase") {
		t.Errorf("the document root is shown in\n%s", got)
	}
	p.Sites = p.Sites[:2]
	if got := Snapshot(p, 80); !strings.Contains(got, "\nsite        *, refused, 2 requests, 0 B\n") {
		t.Errorf("other hosts are missing in\n%s", got)
	}
	newBench(t, p, 100, 30).expect("serves 1 site")
	p.Base = "/srv/www"
	newBench(t, p, 100, 30).expect("serves 1 site and /srv/www")
}
