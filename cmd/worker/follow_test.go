package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/site"
)

// A worker that drains may follow a base that is no longer used. It counts releases, and reports
// nothing.
func TestDrainingReportsNothing(t *testing.T) {
	root, err := site.Open(t.TempDir(), site.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var out strings.Builder
	row, draining := new(scoreboard.Row), false
	r := &reporter{log: zerolog.New(&out), alerts: zerolog.New(&out), row: row, draining: func() bool { return draining }}
	for _, want := range []int{3, 0} { // lines
		out.Reset()
		r.news(site.News{Root: root, Err: errors.New("no such directory")})
		r.news(site.News{Root: root})
		r.news(site.News{Kind: site.NewRules, Root: root, Err: errors.New("no such status")})
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("draining %t: %s", draining, out.String())
		}
		draining = true
	}
	if n, stale := row.Releases.Load(), row.Stale.Load(); n != 2 || stale != 0 {
		t.Errorf("%d releases, stale %d", n, stale)
	}
}
