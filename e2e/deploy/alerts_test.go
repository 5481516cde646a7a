package deploy

import (
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"phalanx/e2e/harness"
)

// TestAlertRules checks the alert rules with promtool, Prometheus's own tool, and runs their
// tests. Every rule has a test.
func TestAlertRules(t *testing.T) {
	promtool := harness.Tool(t, "apt-get install prometheus", "promtool")
	dir := harness.Repository(t, "deploy", "prometheus")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
	rules, tested := named(t, dir+"/alerts.yaml", `- alert: (\w+)`), named(t, dir+"/alerts_test.yaml", `- name: (\w+)`)
	if len(rules) < 10 || !slices.Equal(rules, tested) {
		t.Errorf("rules %q, tests for %q; want at least 10 rules, each with a test", rules, tested)
	}
}

// named returns the first submatches of an expression in a file.
func named(t *testing.T, path, expression string) (names []string) {
	t.Helper()
	text := harness.Read(t, path)
	for _, match := range regexp.MustCompile(expression).FindAllSubmatch(text, -1) {
		names = append(names, string(match[1]))
	}
	return names
}
