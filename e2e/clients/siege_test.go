package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// siegeRules keep siege from writing to the home directory, from logging and from following links in pages.
const siegeRules = `verbose = false
quiet = true
color = off
json_output = true
show-logfile = false
logging = false
parser = false
protocol = HTTP/1.1
connection = close
benchmark = true
limit = 255
timeout = 10
failures = 1
`

// TestSiege runs siege with one user and with 64: every transaction succeeds, and the server logs nothing.
func TestSiege(t *testing.T) {
	siege := harness.Tool(t, "apt-get install siege", "siege")
	for _, model := range harness.Models() {
		for _, users := range []int{1, 64} {
			t.Run(fmt.Sprintf("%s/%d", model, users), func(t *testing.T) {
				s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", harness.SiteDir(t), "--model", model}})
				done := runSiege(t, siege, users, siegeRequests/users, s.URL("/index.html"))
				t.Logf("%.0f transactions, %.0f a second", done.Transactions, done.Rate)
				if done.Failed != 0 || done.Availability != 100 {
					t.Errorf("%.0f transactions failed, availability %.2f %%; want 0 and 100", done.Failed, done.Availability)
				}
				if want := float64(siegeRequests / users * users); done.Transactions != want || done.Successful != want {
					t.Errorf("%.0f of %.0f transactions succeeded, want %.0f", done.Successful, done.Transactions, want)
				}
				if s.Gone() || s.Log.String() != "" {
					t.Errorf("the server exited or, without -v, printed %q", s.Log.Tail())
				}
			})
		}
	}
}

// siegeResult is siege's report, by its own names.
type siegeResult struct {
	Transactions float64 `json:"transactions"`
	Availability float64 `json:"availability"`
	Rate         float64 `json:"transaction_rate"`
	Successful   float64 `json:"successful_transactions"`
	Failed       float64 `json:"failed_transactions"`
}

// siegeRequests take a few seconds. Siege gets a number of requests rather than a time, because it cancels its
// threads when its time is up and then sometimes deadlocks.
const siegeRequests = 12000

// runSiege runs siege with a number of users, each of which makes each requests.
func runSiege(t *testing.T, siege string, users, each int, url string) siegeResult {
	t.Helper()
	home := t.TempDir()
	rules := filepath.Join(home, "siegerc")
	harness.Write(t, rules, []byte(siegeRules))
	limited, cancel := context.WithTimeout(t.Context(), harness.InTime(time.Minute))
	defer cancel()
	cmd := exec.CommandContext(limited, siege, "--rc="+rules, "--benchmark", fmt.Sprintf("--reps=%d", each),
		fmt.Sprintf("--concurrent=%d", users), "--json-output", url)
	cmd.Env = append(os.Environ(), "HOME="+home)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("siege: %v\n%s%s", err, out.String(), errOut.String())
	}
	var result siegeResult
	start := max(0, bytes.IndexByte(out.Bytes(), '{'))
	if err := json.Unmarshal(out.Bytes()[start:], &result); err != nil {
		t.Fatalf("siege's report: %v\n%s%s", err, out.String(), errOut.String())
	}
	return result
}
