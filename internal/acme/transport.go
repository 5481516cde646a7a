package acme

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// mostBytes bounds a response, which the library reads into memory.
const mostBytes = 1 << 20

// transport speaks to the authority. The library does not pass on for how long the
// authority wants to be left alone when it refuses a request.
type transport struct {
	http *http.Transport
	wait atomic.Int64 // Retry-After of the last response, if that was an error
}

func newTransport() *transport {
	return &transport{http: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: callTime, MaxIdleConns: 2, IdleConnTimeout: callTime,
	}}
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.wait.Store(0)
	resp, err := t.http.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		t.wait.Store(int64(retryAfter(resp.Header.Get("Retry-After"), time.Now())))
	}
	resp.Body = bounded{io.LimitReader(resp.Body, mostBytes), resp.Body}
	return resp, nil
}

type bounded struct {
	io.Reader
	io.Closer
}

// retryAfter is what the last response said, 0 if nothing.
func (t *transport) retryAfter() time.Duration { return time.Duration(t.wait.Load()) }

func (t *transport) close() { t.http.CloseIdleConnections() }

// retryAfter reads the header field (RFC 9110 §10.2.3).
func retryAfter(field string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(field, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(field); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
