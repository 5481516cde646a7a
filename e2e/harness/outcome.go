package harness

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// Outcome is the exit code and the output of a master that has exited.
type Outcome struct {
	Code     int
	Out, Err string
}

// Attempt runs a master that must exit by itself.
func Attempt(t *testing.T, p Plan) Outcome {
	t.Helper()
	s := Launch(t, p)
	code := s.Wait(InTime(20 * time.Second))
	return Outcome{Code: code, Out: s.Out.String(), Err: s.Log.String()}
}

// called matches the start of an error: the name under which the program was started.
var called = regexp.MustCompile(`^(master|phalanx): `)

// Rejects fails the test unless the outcome has the exit code, nothing on
// standard output, and one line on standard error with all of the words.
func (o Outcome) Rejects(t *testing.T, code int, words ...string) {
	t.Helper()
	if o.Code != code {
		t.Errorf("exit status %d, want %d", o.Code, code)
	}
	if o.Out != "" {
		t.Errorf("standard output %q, want nothing", o.Out)
	}
	if strings.Count(o.Err, "\n") != 1 || !strings.HasSuffix(o.Err, "\n") || !called.MatchString(o.Err) {
		t.Errorf("standard error %q, want one line that begins with %q", o.Err, called)
	}
	for _, word := range words {
		if !strings.Contains(o.Err, word) {
			t.Errorf("standard error %q does not mention %q", o.Err, word)
		}
	}
}

// Succeeds fails the test unless the command succeeded and printed just the line.
func (o Outcome) Succeeds(t *testing.T, line string) {
	t.Helper()
	if o.Code != 0 || o.Out != line+"\n" || o.Err != "" {
		t.Errorf("%+v, want exit status 0 and %q", o, line)
	}
}
