package supervise

import (
	"fmt"
	"strings"
	"unicode"

	"phalanx/internal/exitcode"
)

// tailSize is how much of a worker's output is kept, in bytes.
const tailSize = 4096

// tail is a writer that keeps the end of what it is given.
type tail struct {
	b []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[max(0, len(p)-tailSize):]...)
	if over := len(t.b) - tailSize; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	return strings.TrimSpace(string(t.b))
}

// cause says in a few words, on one line, why a process ended.
func (e Exit) cause() string {
	how := fmt.Sprintf("exit status %d", e.Code)
	switch {
	case e.Err != nil:
		how = e.Err.Error()
	case e.Signal != 0:
		how = "signal " + e.Signal.String()
	}
	if words := e.summary(); words != "" {
		how += ": " + words
	}
	return oneLine(how)
}

// summary is the line of the last words that says most: the one a Go panic
// begins with, or else the last.
func (e Exit) summary() string {
	lines := strings.Split(e.LastWords, "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "panic: ") || strings.HasPrefix(l, "fatal error: ") {
			return l
		}
	}
	last := strings.TrimPrefix(lines[len(lines)-1], "phalanx ")
	return strings.TrimPrefix(strings.TrimPrefix(last, "worker: "), "phalanx: ")
}

// clean reports that the process ended by itself, with nothing to complain of.
func (e Exit) clean() bool { return e.Err == nil && e.Signal == 0 && e.Code == 0 }

// crashed tells a process that a signal or a Go panic ended from one that
// chose to leave.
func (e Exit) crashed() bool {
	return e.Err == nil && (e.Signal != 0 || e.Code == 2 && strings.Contains(e.LastWords, "goroutine "))
}

// oneLine replaces what could break out of a line, and bounds its length.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if r := []rune(s); len(r) > 400 {
		s = string(r[:400]) + "…"
	}
	return s
}

// exitCode keeps 78 and makes 1 of everything else, for 64 and 2 would
// blame the user's command line or the master itself.
func exitCode(code int) int {
	if code == exitcode.Config {
		return exitcode.Config
	}
	return 1
}
