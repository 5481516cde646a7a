package logging

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

const begin = `{"level":"info","slot":1,"pid":7`

// Only lines that a worker's logger writes are accepted from a worker, and none in the name
// of another worker.
func TestForgedLinesAreRefused(t *testing.T) {
	g := newChecker(1, 7, 1)
	for line, want := range map[string]bool{
		begin + `}`: true,
		begin + `,"time":"2024-02-29T12:00:00.005+01:00","message":"request"}`: true,
		`{"level":"warn","slot":1,"pid":7,"a":true,"b":false,"c_d":-1.5e-7}`:   true,
		begin + `,"path":"\"\\\/\b\f\n\r\t\u00e9é"}`:                           true,
		begin + `,"n":0,"m":10,"o":0.5,"p":1e+9}`:                              true,

		``:                                   false,
		`{}`:                                 false,
		begin:                                false,
		begin + `,}`:                         false,
		begin + `}}`:                         false,
		begin + ` }`:                         false,
		begin + `,"a":1}` + "\r":             false,
		`x` + begin + `}`:                    false,
		`{"level":"info","slot":0,"pid":7}`:  false,
		`{"level":"info","slot":1,"pid":70}`: false,
		`{"level":"info","slot":11,"pid":7}`: false,
		`{"level":"debug","slot":1,"pid":7}`: false, // not asked for
		begin + `,"slot":0}`:                 false,
		begin + `,"pid":1}`:                  false,
		begin + `,"level":"error"}`:          false,
		begin + `,"slo\u0074":0}`:            false,
		begin + `,"Slot":0}`:                 false, // encoding/json ignores case
		begin + `,"":0}`:                     false,
		begin + `,"a"}`:                      false,
		begin + `,"a":}`:                     false,
		begin + `,"a":01}`:                   false,
		begin + `,"a":-}`:                    false,
		begin + `,"a":1.}`:                   false,
		begin + `,"a":1e}`:                   false,
		begin + `,"a":1` + "\r}":             false,
		begin + `,"a":null}`:                 false,
		begin + `,"a":{}}`:                   false,
		begin + `,"a":[1]}`:                  false,
		begin + `,"a":"b}`:                   false,
		begin + `,"a":"\x"}`:                 false,
		begin + `,"a":"\u12"}`:               false,
		begin + `,"a":"\u12g4"}`:             false,
		begin + `,"a":"` + "\x1b" + `"}`:     false,
		begin + `,"a":"b"` + "\x00}":         false,
	} {
		if ok, _ := g.valid([]byte(line)); ok != want {
			t.Errorf("%s: %v", line, ok)
		}
	}
}

// A silent worker may write alerts, and nothing else.
func TestSaidSilently(t *testing.T) {
	g := newChecker(0, 9, 0)
	for level, want := range map[string]bool{"error": true, "warn": true, "info": false, "debug": false, "trace": false} {
		if ok, _ := g.valid([]byte(`{"level":"` + level + `","slot":0,"pid":9}`)); ok != want {
			t.Errorf("%s: %v", level, ok)
		}
	}
}

// FuzzSaid checks that, whatever a worker writes, there are not more lines in the log than it
// wrote, and that they are JSON, name the worker, and contain no terminal control characters.
func FuzzSaid(f *testing.F) {
	for _, line := range []string{begin + `,"message":"request","ms":0.123,"path":"/é\u202e"}`, begin + `,"a":"` + "\xff\u202e\u0085" + `"}`, "thief", begin + `,"pid":1}`, begin + `,"a":1e5,"b":-0}`, "a\n\n" + begin + "}\nb"} {
		f.Add([]byte(line))
	}
	g := newChecker(1, 7, 2)
	f.Fuzz(func(t *testing.T, p []byte) {
		c := &Collector{now: noon}
		var out bytes.Buffer
		c.pass(&Source{c: c, checker: g, out: jsonGuard{&out}}, p)
		if lines := bytes.Count(p, []byte{'\n'}) + 1; strings.Count(out.String(), "\n") > lines {
			t.Errorf("%d lines became %q", lines, out.String())
		}
		for got := range strings.Lines(out.String()) {
			alone(t, got)
		}
	})
}

// alone checks one log line for what worker 7 of slot 1 wrote.
func alone(t *testing.T, got string) {
	t.Helper()
	if !strings.HasSuffix(got, "\n") || len(got) > maxLine {
		t.Fatalf("%q", got)
	}
	var event struct {
		Level     string
		Slot, PID int
	}
	if err := json.Unmarshal([]byte(got), &event); err != nil {
		t.Fatalf("%v: %q", err, got)
	}
	tooLong := strings.Contains(got, `"message":"log line too long"}`)
	if !tooLong && (event.Slot != 1 || event.PID != 7) {
		t.Errorf("the line names another worker: %s", got)
	}
	for _, r := range strings.TrimSuffix(got, "\n") {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			t.Errorf("%q has %q", got, r)
		}
	}
}
