package deploy

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"phalanx/e2e/harness"
)

// TestAlerts has Prometheus' own tool check the alert rules and run their tests, of which each
// rule has one.
func TestAlerts(t *testing.T) {
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
		t.Errorf("the rules are %q, tested are %q", rules, tested)
	}
}

// named returns what the expression finds in a file.
func named(t *testing.T, path, expression string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(expression).FindAllSubmatch(text, -1) {
		names = append(names, string(match[1]))
	}
	return names
}
