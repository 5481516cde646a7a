package supervise

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// tailSize is how much of a worker's output is kept, in bytes.
const tailSize = 4096

// tail is a writer that keeps the end of what it is given, and the line with
// which a crash of the Go runtime began, however long its stacks are.
type tail struct {
	b     []byte
	line  []byte // that is not complete yet, as far as it is needed
	crash string // "" until such a line has come
}

// lineSize is how much of a line is kept to know it, in bytes.
const lineSize = 400

func (t *tail) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if t.crash != "" {
			break
		}
		t.line = append(t.line, line[:min(len(line), lineSize-len(t.line))]...)
		if line[len(line)-1] == '\n' {
			t.endLine()
		}
	}
	t.b = append(t.b, p[max(0, len(p)-tailSize):]...)
	if over := len(t.b) - tailSize; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) endLine() {
	if line := strings.TrimSpace(string(t.line)); isCrash(line) {
		t.crash = line
	}
	t.line = t.line[:0]
}

// Crash is the line with which a crash began; "" if there was none.
func (t *tail) Crash() string {
	if t.crash == "" {
		t.endLine()
	}
	return t.crash
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
		how = "killed by " + signalName(e.Signal)
	}
	if words := e.summary(); words != "" {
		how += ": " + words
	}
	return oneLine(how)
}

// signalName returns a signal's name, such as SIGHUP; that of a real-time signal
// is "signal 34".
func signalName(sig os.Signal) string {
	if number, ok := sig.(syscall.Signal); ok && unix.SignalName(number) != "" {
		return unix.SignalName(number)
	}
	return sig.String()
}

// crashLine is what the Go runtime begins with when it ends a process: a panic, an
// error of its own, or a signal whose stacks it prints (SIGQUIT: quit).
var crashLine = regexp.MustCompile(`^(panic: |fatal error: |runtime: |SIG[A-Z0-9]+: |unexpected fault address )`)

func isCrash(line string) bool { return crashLine.MatchString(line) }

// summary is the line of the output that says most: the one that a crash of the
// Go runtime begins with, or else the last.
func (e Exit) summary() string {
	if e.Crash != "" {
		return e.Crash
	}
	lines := strings.Split(e.LastWords, "\n")
	if i := slices.IndexFunc(lines, isCrash); i >= 0 {
		return lines[i]
	}
	last := strings.TrimPrefix(lines[len(lines)-1], "phalanx ")
	return strings.TrimPrefix(strings.TrimPrefix(last, "worker: "), "phalanx: ")
}

// clean reports whether the process exited by itself, without an error.
func (e Exit) clean() bool { return e.Err == nil && e.Signal == 0 && e.Code == 0 }

// crashed reports whether a signal or a Go panic ended the process.
func (e Exit) crashed() bool {
	return e.Err == nil && (e.Signal != 0 || e.Code == 2 && (e.Crash != "" || strings.Contains(e.LastWords, "goroutine ")))
}

// oneLine joins lines, spells out what could break out of one, and bounds its length.
func oneLine(s string) string {
	return human.Visible(human.Clip(strings.ReplaceAll(s, "\n", "; "), 400))
}

// exitCode keeps 78 and turns everything else into 1, because 64 and 2 would blame
// the user's command line or the master itself.
func exitCode(code int) int {
	if code == exitcode.Config {
		return exitcode.Config
	}
	return 1
}
