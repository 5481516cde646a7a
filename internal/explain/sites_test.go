package explain

import (
	"strings"
	"testing"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// byHost has sites by their numbers. The first is for all other hosts.
type byHost struct {
	names []string
	sites []conn.Site
}

func (b byHost) Find(host []byte) (conn.Site, int) {
	for i, name := range b.names {
		if name == string(host) {
			return b.sites[i], i
		}
	}
	return b.sites[0], 0
}

func (byHost) Done(conn.Site, int) {}

// The report is about the document root of the site with the host, and says why.
func TestSites(t *testing.T) {
	var roots []*site.Root
	all := byHost{names: []string{"", "www.example.org"}}
	for range all.names {
		_, root := open(t, plant(t), nil)
		roots, all.sites = append(roots, root), append(all.sites, website.Uncached(root))
	}
	strict := byHost{all.names, []conn.Site{nil, all.sites[1]}}
	for _, test := range []struct {
		sites byHost
		url   string
		site  int
		want  string
	}{
		{all, "http://www.example.org/", 1, `the host "www.example.org" has a --site`},
		{all, "https://www.example.org:8443/", 1, `the host "www.example.org" has a --site`},
		{all, "http://other.example/", 0, `no --site has the host "other.example", so its document root is --base`},
		{strict, "http://other.example/", -1, `no --site has the host "other.example", and --strict-host is given`},
		{strict, "http://www.example.org/", 1, `the host "www.example.org" has a --site`},
	} {
		mine := roots
		if test.sites.sites[0] == nil {
			mine = []*site.Root{nil, roots[1]}
		}
		report := reportOf(t, conn.Config{Sites: test.sites}, mine, asking(t, "", test.url), fixed)
		if report.Site != test.site || (report.Status == proto.StatusMisdirectedRequest) != (test.site < 0) {
			t.Errorf("%s: site %d, status %d", test.url, report.Site, report.Status)
		}
		why := ""
		for _, step := range report.Steps {
			if step.What == "site" {
				why += step.Why
			}
		}
		if why != test.want || strings.Contains(report.String(), Unknown) {
			t.Errorf("%s: %q, want %q\n%s", test.url, why, test.want, report)
		}
	}
}
