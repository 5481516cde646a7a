package acme

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// maxResponse is the largest response in bytes, since the library reads responses into memory.
const maxResponse = 1 << 20

// transport is the HTTP transport to the authority. It records Retry-After of errors, which
// the library does not return.
type transport struct {
	http *http.Transport
	wait atomic.Int64 // Retry-After of the last response, if it was an error
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
	resp.Body = bounded{io.LimitReader(resp.Body, maxResponse), resp.Body}
	return resp, nil
}

type bounded struct {
	io.Reader
	io.Closer
}

// retryAfter returns the Retry-After of the last response, 0 if none.
func (t *transport) retryAfter() time.Duration { return time.Duration(t.wait.Load()) }

func (t *transport) close() { t.http.CloseIdleConnections() }

// retryAfter parses the header field (RFC 9110 §10.2.3).
func retryAfter(field string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(field, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(field); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
