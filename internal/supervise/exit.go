package supervise

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// tailSize is how many of the last bytes of a worker's output are kept.
const tailSize = 4096

// tail is a writer that keeps the end of what is written to it, and the line with which a crash
// of the Go runtime began, however long its stacks are.
type tail struct {
	b     []byte
	line  []byte // beginning of the current line, which is not complete yet
	crash string // line with which a crash began; "": none yet
}

// lineSize is how many bytes of a line are kept to recognise a crash.
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

// Crash returns the line with which a crash began; "" if there was none.
func (t *tail) Crash() string {
	if t.crash == "" {
		t.endLine()
	}
	return t.crash
}

func (t *tail) String() string {
	return strings.TrimSpace(string(t.b))
}

// cause returns in a few words, on one line, why a process ended.
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

// signalName returns a signal's name, such as SIGHUP, or "signal 34" for a real-time signal.
func signalName(sig os.Signal) string {
	if number, ok := sig.(syscall.Signal); ok && unix.SignalName(number) != "" {
		return unix.SignalName(number)
	}
	return sig.String()
}

// crashLine matches the first line that the Go runtime writes when it ends a process: of a
// panic, of an error in the runtime, or of a signal with stacks (SIGQUIT: quit).
var crashLine = regexp.MustCompile(`^(panic: |fatal error: |runtime: |SIG[A-Z0-9]+: |unexpected fault address )`)

func isCrash(line string) bool { return crashLine.MatchString(line) }

// summary returns the most informative line of the output: the one with which a crash of the Go
// runtime began, or else the last.
func (e Exit) summary() string {
	if e.Crash != "" {
		return e.Crash
	}
	last := strings.TrimPrefix(e.LastWords[strings.LastIndexByte(e.LastWords, '\n')+1:], "phalanx ")
	return strings.TrimPrefix(strings.TrimPrefix(last, "worker: "), "phalanx: ")
}

// clean reports whether the process exited by itself, without an error.
func (e Exit) clean() bool { return e.Err == nil && e.Signal == 0 && e.Code == 0 }

// crashed reports whether a signal or a Go panic ended the process.
func (e Exit) crashed() bool {
	return e.Err == nil && (e.Signal != 0 || e.Code == 2 && e.Crash != "")
}

// oneLine joins lines, escapes characters that could break the line, and limits its length.
func oneLine(s string) string {
	return human.Visible(human.Clip(strings.ReplaceAll(s, "\n", "; "), 400))
}

// exitCode returns 78 for 78 and 1 for all others: as exit codes of the master, 64 would blame
// the command line, and 2 the master itself.
func exitCode(code int) int {
	if code == exitcode.Config {
		return exitcode.Config
	}
	return 1
}
