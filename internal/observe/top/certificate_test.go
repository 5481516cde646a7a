package top

import (
	"strings"
	"testing"
	"time"

	"phalanx/internal/observe/status"
)

func certified(left ...time.Duration) status.Pool {
	p := aPool(2)
	for _, d := range left {
		p.Certificates = append(p.Certificates, status.Certificate{
			Names: []string{"www.example.org", "example.org"}, Key: "ECDSA", NotAfter: noon.Add(d), Expiring: d < 24*time.Hour,
		})
	}
	return p
}

func TestSnapshotShowsCertificates(t *testing.T) {
	got := Snapshot(certified(-time.Hour, 50*time.Hour), 80)
	for _, want := range []string{
		"certificate www.example.org, ECDSA, expired on 2026-03-04 11:00\n",
		"certificate www.example.org, ECDSA, expires in 2d02h, on 2026-03-06 14:00\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if got := Snapshot(certified(make([]time.Duration, 15)...), 80); !strings.Contains(got, "certificate 5 more\n") {
		t.Errorf("%s", got)
	}
}

// The first screen says when the first certificate expires.
func TestCertificateShown(t *testing.T) {
	newBench(t, certified(50*time.Hour), 100, 30).expect("certificate 2d02h left")
	newBench(t, certified(-time.Second), 100, 30).expect("certificate expired")
	if b := newBench(t, certified(), 100, 30); b.sees("certificate") {
		t.Error("a pool without certificates shows some")
	}
}

// Handshakes are shown once there are some.
func TestHandshakesShown(t *testing.T) {
	p := certified()
	if got := Snapshot(p, 80); strings.Contains(got, "tls") {
		t.Errorf("without handshakes:\n%s", got)
	}
	p.Total.TLS = &status.TLS{Handshakes: map[string]uint64{"1.2": 1, "1.3": 1200}, Resumed: 7, Failed: map[string]uint64{"version": 3}}
	if got := Snapshot(p, 80); !strings.Contains(got, "tls         1,201 handshakes, 7 resumed, 3 failed\n") {
		t.Errorf("got\n%s", got)
	}
	newBench(t, p, 160, 30).expect("1,201 TLS handshakes, 3 failed")
}

// Requests over HTTP/2 are shown once there are some.
func TestHTTP2Shown(t *testing.T) {
	p := certified()
	if got := Snapshot(p, 80); strings.Contains(got, "http/2") {
		t.Errorf("without HTTP/2:\n%s", got)
	}
	p.Total.Versions = map[string]uint64{"2": 1234}
	p.Total.HTTP2 = &status.HTTP2{Streams: 5, Ended: map[string]uint64{"resets": 3}}
	if got := Snapshot(p, 80); !strings.Contains(got, "http/2      1,234 requests, 5 open, 3 connection errors\n") {
		t.Errorf("got\n%s", got)
	}
	newBench(t, p, 160, 30).expect("1,234 over HTTP/2, 3 connection errors")
}
