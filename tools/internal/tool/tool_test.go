package tool

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/tools/internal/record"
)

// recorded reads recorded output of a tool; an empty name means no output.
func recorded(t *testing.T, stdout, stderr string) Output {
	t.Helper()
	read := func(name string) []byte {
		if name == "" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	return Output{Stdout: read(stdout), Stderr: read(stderr)}
}

func want(t *testing.T, got, want Values) {
	t.Helper()
	for metric, w := range want {
		if g, ok := got[metric]; !ok || math.Abs(g-w) > 1e-6*math.Max(1, math.Abs(w)) {
			t.Errorf("%s = %v, want %v", metric, g, w)
		}
	}
}

func void(t *testing.T, err error, reason string) {
	t.Helper()
	if v, ok := errors.AsType[*VoidError](err); !ok || !strings.Contains(v.Reason, reason) {
		t.Errorf("got %v, want it void for %q", err, reason)
	}
}

func TestSiege(t *testing.T) {
	got, err := ParseSiege(recorded(t, "siege.txt", ""), 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, Values{
		record.Requests: 15090, record.Failed: 0, record.PerSecond: 8112.90, record.Seconds: 1.86,
		record.ErrorShare: 0, record.Mean: got[record.Concurrency] / 8112.90,
	})
}

func TestSiegeOfADeadServer(t *testing.T) {
	got, err := ParseSiege(recorded(t, "siege-refused.txt", "siege-refused.err"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, Values{record.Failed: 377, record.ErrorShare: 1})
}

func TestSiegeVoid(t *testing.T) {
	_, err := ParseSiege(recorded(t, "siege.txt", "siege-files.err"), 2*time.Second)
	void(t, err, "Too many open files")
	_, err = ParseSiege(recorded(t, "siege.txt", ""), time.Minute)
	void(t, err, "stopped after 1.86 of 60 s")
	_, err = ParseSiege(Output{Stderr: []byte("[alert] unable to connect: no route to host\n")}, time.Second)
	void(t, err, "unable to connect")
	if _, err = ParseSiege(Output{Stdout: []byte("usage")}, time.Second); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Errorf("got %v, want an error that quotes the output", err)
	}
}

func TestWrk(t *testing.T) {
	got, err := ParseWrk(recorded(t, "wrk.txt", ""), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, Values{
		record.Requests: 65953, record.Seconds: 1.099085, record.PerSecond: 65953 / 1.099085,
		record.P50: 98e-6, record.P99: 1234e-6, record.P999: 3202e-6, record.Longest: 5857e-6, record.Failed: 0,
	})
}

func TestH2load(t *testing.T) {
	got, err := ParseH2load(recorded(t, "h2load.txt", ""), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, Values{record.Requests: 14906, record.Seconds: 1, record.PerSecond: 14906, record.Failed: 0, record.ErrorShare: 0})
	if _, err := ParseH2load(recorded(t, "h2load.txt", ""), 4*time.Second); err == nil {
		t.Error("a result that came too early counts")
	}
	if _, err := ParseH2load(Output{Stderr: []byte("h2load: no")}, time.Second); err == nil {
		t.Error("no result counts")
	}
}

func TestWrkVoid(t *testing.T) {
	_, err := ParseWrk(recorded(t, "wrk-connect.txt", ""), time.Second)
	void(t, err, "unable to connect 46 times")
}

func TestVegeta(t *testing.T) {
	got, err := ParseVegeta(recorded(t, "vegeta.json", ""), recorded(t, "vegeta.hdr", ""), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, Values{
		record.Requests: 500, record.P50: 135472e-9, record.P99: 785027e-9, record.Longest: 2518190e-9,
		record.ErrorShare: 0,
	})
	if p := got[record.P999]; p <= got[record.P99] || p > got[record.Longest] {
		t.Errorf("p99.9 = %v, want it between p99 and the longest", p)
	}
}

func TestVegetaVoid(t *testing.T) {
	out := recorded(t, "vegeta.json", "")
	out.Stdout = []byte(strings.Replace(string(out.Stdout), `"errors":[]`,
		`"errors":["dial tcp 127.0.0.1:8080: connect: cannot assign requested address"]`, 1))
	_, err := ParseVegeta(out, recorded(t, "vegeta.hdr", ""), time.Second)
	void(t, err, "cannot assign requested address")
}

func TestCalls(t *testing.T) {
	for _, c := range []struct {
		call Call
		want string
	}{
		{SiegeCall("/r", "/h", "http://x/", 8, time.Minute), "siege --rc=/r --benchmark --time=60S --concurrent=8 --json-output http://x/"},
		{WrkCall("/s", "http://x/", 1, time.Second, true), "wrk --threads=1 --connections=1 --duration=1s --timeout=10s --script=/s --header=Connection: close http://x/"},
		{H2loadCall("https://x/", 64, 10, time.Second), "h2load --clients=64 --max-concurrent-streams=10 --duration=1 https://x/"},
		{WrkCall("/s", "http://x/", 64, time.Second, false), "wrk --threads=2 --connections=64 --duration=1s --timeout=10s --script=/s http://x/"},
	} {
		if got := strings.Join(c.call.Args, " "); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestVersions(t *testing.T) {
	for i, c := range []struct{ output, version, err string }{
		{"SIEGE 4.0.7\n\nCopyright (C) 2023\n", "4.0.7", ""},
		{"SIEGE 3.1.4\n", "3.1.4", "siege 3.1.4 is too old, 4.0.5 or later is needed; run apt-get install siege"},
		{"wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\nUsage: wrk\n", "4.1.0", ""},
		{"wrk 4.2.0 [epoll] Copyright (C) 2012 Will Glozer\n", "4.2.0", ""},
		{"h2load nghttp2/1.52.0\n", "1.52.0", ""},
		{"h2load nghttp2/1.9.1\n", "1.9.1", "h2load 1.9.1 is too old, 1.31.0 or later is needed; run apt-get install nghttp2-client"},
	} {
		version, err := Probes()[i/2].Check(c.output)
		if version != c.version || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%q: %q, %v", c.output, version, err)
		}
	}
}
