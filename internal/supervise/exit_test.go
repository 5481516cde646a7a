package supervise

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode"
)

// A tail keeps the last bytes written to it, in bounded memory.
func TestTail(t *testing.T) {
	var tl tail
	long := strings.Repeat("x", 3*tailSize)
	for _, p := range []string{"first\n", long, "last\n"} {
		if n, err := tl.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := tl.String(); len(got) != tailSize-1 || !strings.HasSuffix(got, "xlast") || cap(tl.b) > 4*tailSize {
		t.Errorf("%d bytes, capacity %d, end in %q, want %d bytes and xlast", len(got), cap(tl.b), got[max(0, len(got)-8):], tailSize-1)
	}
}

// The cause of a crash is the first line that the runtime printed, even if its stacks are
// longer than the tail that is kept, and in whatever pieces the line arrives.
func TestCrashLine(t *testing.T) {
	stacks := "\n\ngoroutine 1 [running]:\n" + strings.Repeat("main.f()\n\t/main.go:1 +0x1\n", 500) + "gs 0x0\n"
	for _, line := range []string{
		"SIGQUIT: quit", "SIGABRT: abort", "panic: out of luck", "fatal error: all goroutines are asleep - deadlock!",
		"runtime: goroutine stack exceeds 1000000000-byte limit", "runtime: out of memory: cannot allocate 4194304-byte block",
		"unexpected fault address 0xdeadbeef",
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			var tl tail
			for p := range slices.Chunk([]byte("phalanx: a line before\n"+line+stacks), size) {
				tl.Write(p)
			}
			e := Exit{Code: 2, LastWords: tl.String(), Crash: tl.Crash()}
			if got := e.cause(); got != "exit status 2: "+line || !e.crashed() {
				t.Errorf("%q in pieces of %d: cause %q, crashed %v; want the line and a crash", line, size, got, e.crashed())
			}
		}
	}
}

// The cause of an exit is one short line without control characters.
func TestCauseIsOneLine(t *testing.T) {
	for words, want := range map[string]string{
		"":                       "exit status 2",
		"phalanx: no root":       "exit status 2: no root",
		"a\nb":                   "exit status 2: b",
		"a\r\x1b[2J\xff":         `exit status 2: a\x0d\x1b[2J\xff`,
		strings.Repeat("ü", 999): "exit status 2: " + strings.Repeat("ü", 385) + "… (1,228 bytes more)",
	} {
		if got := (Exit{Code: 2, LastWords: words}).cause(); got != want {
			t.Errorf("%.40q: %q, want %q", words, got, want)
		}
	}
}

// A signal is reported by its name, or by its number if it has none.
func TestSignalName(t *testing.T) {
	for sig, want := range map[syscall.Signal]string{
		syscall.SIGTTIN: "SIGTTIN", syscall.SIGUSR2: "SIGUSR2", syscall.SIGHUP: "SIGHUP", syscall.SIGKILL: "SIGKILL", 34: "signal 34",
	} {
		if got := signalName(sig); got != want {
			t.Errorf("%d: %q, want %q", int(sig), got, want)
		}
		if got := (Exit{Signal: sig}).cause(); got != "killed by "+want {
			t.Errorf("%d: cause %q, want killed by %s", int(sig), got, want)
		}
	}
}

// FuzzLastWords: whatever a worker prints, in whatever pieces, the memory that keeps it is
// bounded, and the cause of its exit is one short line.
func FuzzLastWords(f *testing.F) {
	f.Add([]byte("panic: out of luck\n\ngoroutine 1 [running]:\n"), 3, 2)
	f.Add([]byte("SIGQUIT: \x1b[2J\x9b\u202e\n"), 1, 0)
	f.Add([]byte(strings.Repeat("fatal error: ", 1000)), 4000, 78)
	f.Fuzz(func(t *testing.T, output []byte, size, code int) {
		var tl tail
		for piece := range slices.Chunk(output, max(1, min(size, 1<<16))) {
			for range 1 + len(output)%3 {
				_, _ = tl.Write(piece)
			}
		}
		e := Exit{Code: code, LastWords: tl.String(), Crash: tl.Crash()}
		if len(tl.b) > tailSize || cap(tl.b) > 2<<16+tailSize || len(tl.line) > lineSize || len(e.Crash) > lineSize {
			t.Errorf("%d bytes kept in %d, %d of a line and %d of a crash: more than the limits", len(tl.b), cap(tl.b), len(tl.line), len(e.Crash))
		}
		if got := e.cause(); len(got) > 4000 || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("the cause is %q, want a short line of printable characters", got)
		}
		_ = e.crashed()
	})
}
