package tool

import (
	"fmt"
	"time"

	"phalanx/tools/internal/record"
)

// SiegeRules is siege's rc file. It lifts the cap of 255 users, does not fetch
// the resources of a page, and turns off log and colour. Connection: close in
// each request is siege's default.
const SiegeRules = `verbose = false
quiet = true
color = off
json_output = true
show-logfile = false
logging = false
parser = false
follow-location = false
cookies = false
protocol = HTTP/1.1
connection = close
benchmark = true
limit = 4096
failures = 1000000
timeout = 30
`

// SiegeCall returns the call that loads a URL with the given number of users.
// rules is the path of the rc file, home a directory in which siege may write.
func SiegeCall(rules, home, url string, users int, last time.Duration) Call {
	return Call{
		Args: []string{
			Siege, "--rc=" + rules, "--benchmark", fmt.Sprintf("--time=%dS", int(last.Seconds())),
			fmt.Sprintf("--concurrent=%d", users), "--json-output", url,
		},
		// When the time is over siege 4.0 cancels its threads wherever they are. A
		// thread that holds a lock of malloc never releases it, and siege hangs if
		// it needs that lock: in three of ten runs with 512 users. With an arena
		// for each thread, and large caches, no other thread needs it.
		Env: []string{"HOME=" + home, "GLIBC_TUNABLES=glibc.malloc.tcache_count=65535:glibc.malloc.arena_max=4096"},
	}
}

type siegeReport struct {
	Elapsed     float64 `json:"elapsed_time"`
	Response    float64 `json:"response_time"`
	Rate        float64 `json:"transaction_rate"`
	Concurrency float64 `json:"concurrency"`
	Successful  float64 `json:"successful_transactions"`
	Failed      float64 `json:"failed_transactions"`
	Longest     float64 `json:"longest_transaction"`
	Shortest    float64 `json:"shortest_transaction"`
}

// ParseSiege parses the output of siege. The response time has steps of 10 ms,
// so the mean is computed from more precise numbers by Little's law:
// concurrency divided by rate.
func ParseSiege(out Output, asked time.Duration) (Values, error) {
	if words := complaint(string(out.Stdout) + string(out.Stderr)); words != "" {
		return nil, &VoidError{"siege: " + words}
	}
	var r siegeReport
	if err := out.decode(Siege, &r); err != nil {
		return nil, err
	}
	if err := short(r.Elapsed, asked); err != nil {
		return nil, err
	}
	v := Values{
		record.Seconds: r.Elapsed, record.Requests: r.Successful, record.PerSecond: r.Rate,
		record.Failed: r.Failed, record.ErrorShare: share(r.Failed, r.Successful),
		record.Response: r.Response, record.Longest: r.Longest, record.Shortest: r.Shortest,
		record.Concurrency: r.Concurrency,
	}
	if r.Rate > 0 {
		v[record.Mean] = r.Concurrency / r.Rate
	}
	return v, nil
}
