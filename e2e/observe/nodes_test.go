package observe

import (
	"encoding/json"
	"strings"
	"testing"

	"phalanx/e2e/harness"
	"phalanx/internal/observe/status"
)

// TestStatusOfSeveralNodes asks two servers for their status at once. One that does not respond is an
// error.
func TestStatusOfSeveralNodes(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "x"})
	first, second := harness.Operated(t, harness.Plan{Args: []string{"--base", base, "--workers", "1"}}), harness.Operated(t, harness.Plan{Args: []string{"--base", base, "--workers", "3"}})
	both := []string{"status", "--admin", first.Endpoint, "--admin", second.Endpoint}
	o := harness.Attempt(t, harness.Plan{Args: both})
	for _, want := range []string{"2, 2 ready", "1/1", "3/3"} {
		if o.Code != 0 || !strings.Contains(o.Out, want) {
			t.Errorf("exit status %d, want 0 with %q in the output:\n%s%s", o.Code, want, o.Out, o.Err)
		}
	}
	o = harness.Attempt(t, harness.Plan{Args: append(both, "--json")})
	var nodes []struct {
		Admin string
		Pool  status.Pool
	}
	if err := json.Unmarshal([]byte(o.Out), &nodes); err != nil || len(nodes) != 2 || nodes[1].Admin != second.Endpoint || nodes[1].Pool.Slots != 3 {
		t.Errorf("status --json: error %v: %s", err, o.Out)
	}
	second.Order("stop")
	o = harness.Attempt(t, harness.Plan{Args: both})
	if want := "1 of 2 nodes did not respond: admin endpoint " + second.Endpoint; o.Code != 1 || !strings.Contains(o.Err, want) || !strings.Contains(o.Out, "unreachable") {
		t.Errorf("exit status %d, want 1 and %q:\n%s%s", o.Code, want, o.Out, o.Err)
	}
}
