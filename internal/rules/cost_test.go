package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"phalanx/internal/rules"
)

// many returns n rules of all kinds.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		switch i % 4 {
		case 0, 1:
			fmt.Fprintf(&b, "/old/page-%d /new/page-%d 301\n", i, i)
		case 2:
			fmt.Fprintf(&b, "/section-%d/* /archive/%d/:splat 302\n", i, i)
		default:
			fmt.Fprintf(&b, "/item-%d/:id /items/:id/%d 308\n", i, i)
		}
	}
	return b.String()
}

// TestNoAllocation checks that a request allocates nothing, whether or not a rule matches it.
func TestNoAllocation(t *testing.T) {
	s := parse(t, many(100))
	h := parseHeaders(t, "/*\n  X-A: b\n  ! X-Content-Type-Options\n/old/:page\n  X-A: :page\n")
	var m rules.Match
	out := make([]byte, 0, 1<<10)
	for _, path := range []string{"/nothing/here/index.html", "/old/page-0", "/section-2/a/b", "/item-3/x"} {
		r := rules.Request{Path: []byte(path), Query: []byte("?a=b")}
		if n := testing.AllocsPerRun(100, func() {
			s.Find(&m, r)
			if h.Fields(&m, r) {
				m.Amend(append(out, served...), 0, rules.File)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{0, 10, 5000} {
		var s *rules.Set
		if n > 0 {
			s = parse(b, many(n))
		}
		for what, path := range map[string]string{"miss": "/assets/img/logo-1234.png", "hit": "/section-2/a/b"} {
			r := rules.Request{Path: []byte(path)}
			b.Run(fmt.Sprintf("%s-%d", what, n), func(b *testing.B) {
				b.ReportAllocs()
				var m rules.Match
				for b.Loop() {
					s.Find(&m, r)
				}
			})
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text := rules.Text{Name: "_redirects", Bytes: []byte(many(5000))}
	for b.Loop() {
		if _, err := rules.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
