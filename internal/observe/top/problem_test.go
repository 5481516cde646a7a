package top

import (
	"strings"
	"testing"

	"phalanx/internal/observe/status"
)

// The first screen begins with what is wrong, the worst first, as far as there is room.
func TestProblemsShown(t *testing.T) {
	p := aPool(2)
	for _, text := range []string{"the certificate of a.test has expired; renew it", "reload: /etc/phalanx.conf:9: " + strings.Repeat("x", 80), "third", "fourth"} {
		p.Problems = append(p.Problems, status.Problem{Severity: status.Warning, Text: text})
	}
	b := newBench(t, p, 80, 30)
	b.expect("the certificate of a.test has expired; renew it\n", "conf:9: xxx", "third\n")
	if b.sees("fourth") {
		t.Errorf("all are shown:\n%s", strings.Join(b.screen(), "\n"))
	}
	for height := range 30 {
		newBench(t, p, 80, height).screen() // which judges sizes
	}
	if b := newBench(t, aPool(2), 80, 30); b.sees("certificate") {
		t.Error("a problem where there is none")
	}
}
