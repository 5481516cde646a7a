package tool

import (
	"fmt"
	"time"

	"phalanx/tools/internal/record"
)

// WrkScript makes wrk print its result as one line of JSON.
const WrkScript = `done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"bytes":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d,' ..
    '"mean_us":%.3f,"p50_us":%d,"p99_us":%d,"p999_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration, summary.bytes, e.connect, e.read, e.write, e.status, e.timeout,
    latency.mean, latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
`

// OpenSSLConf limits clients to TLS 1.3 parameters that every server supports, so that all
// servers use the same cipher.
const OpenSSLConf = `openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = default
[default]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
`

// Over returns the call with the OpenSSL configuration file conf.
func (c Call) Over(conf string) Call {
	c.Env = append(c.Env, "OPENSSL_CONF="+conf)
	return c
}

// WrkCall returns the call that loads a URL over the given number of
// connections. It uses at most two threads, because the server runs on the same
// machine.
func WrkCall(script, url string, connections int, last time.Duration, closing bool) Call {
	args := []string{
		Wrk, fmt.Sprintf("--threads=%d", min(2, connections)), fmt.Sprintf("--connections=%d", connections),
		fmt.Sprintf("--duration=%ds", int(last.Seconds())), "--timeout=10s", "--script=" + script,
	}
	if closing {
		args = append(args, "--header=Connection: close")
	}
	return Call{Args: append(args, url)}
}

type wrkReport struct {
	Requests float64 `json:"requests"`
	Duration float64 `json:"duration_us"`
	Bytes    float64 `json:"bytes"`
	Connect  float64 `json:"connect"`
	Read     float64 `json:"read"`
	Write    float64 `json:"write"`
	Status   float64 `json:"status"`
	Timeout  float64 `json:"timeout"`
	Mean     float64 `json:"mean_us"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	P999     float64 `json:"p999_us"`
	Max      float64 `json:"max_us"`
}

// ParseWrk parses the output of WrkScript.
func ParseWrk(out Output, asked time.Duration) (Values, error) {
	if words := complaint(string(out.Stderr)); words != "" {
		return nil, &VoidError{"wrk: " + words}
	}
	var r wrkReport
	if err := out.decode(Wrk, &r); err != nil {
		return nil, err
	}
	if r.Connect > 0 { // over loopback, to a server that listens
		return nil, &VoidError{fmt.Sprintf("wrk: unable to connect %.0f times", r.Connect)}
	}
	const micro = 1e-6
	seconds := r.Duration * micro
	if err := short(seconds, asked); err != nil {
		return nil, err
	}
	// Requests include responses with an error status.
	failed := r.Read + r.Write + r.Timeout + r.Status
	good := r.Requests - r.Status
	return Values{
		record.Seconds: seconds, record.Requests: good, record.Bytes: r.Bytes, record.PerSecond: good / seconds,
		record.Failed: failed, record.ErrorShare: share(failed, good),
		record.Mean: r.Mean * micro, record.P50: r.P50 * micro, record.P99: r.P99 * micro,
		record.P999: r.P999 * micro, record.Longest: r.Max * micro,
	}, nil
}
