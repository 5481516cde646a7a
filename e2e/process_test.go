package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is what /proc/PID/stat says, as far as the tests need it.
type process struct {
	pid     int
	command string
	state   string
	parent  int
	session int
	ticks   int // user and system time, in hundredths of a second
}

func (p process) String() string { return fmt.Sprintf("%d (%s, %s)", p.pid, p.command, p.state) }

// alive is false for a process that has ended and that nobody has asked
// about yet.
func (p process) alive() bool { return p.state != "Z" && p.state != "X" }

// processOf reads the state of one process, which may be gone.
func processOf(pid int) (process, bool) { return readProcess(fmt.Sprintf("/proc/%d/stat", pid)) }

// readProcess reads the stat file of a process or of a thread.
func readProcess(path string) (process, bool) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return process{}, false
	}
	// The command is in parentheses and may hold any byte, so the fields
	// behind it begin after the last one.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	return process{
		pid:     atoi(strings.TrimSpace(string(stat[:open]))),
		command: string(stat[open+1 : end]),
		state:   fields[0],
		parent:  atoi(fields[1]),
		session: atoi(fields[3]),
		ticks:   atoi(fields[11]) + atoi(fields[12]),
	}, true
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// processes lists all processes of the machine for which ok holds.
func processes(ok func(process) bool) []process {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var some []process
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		if p, exists := processOf(pid); exists && ok(p) {
			some = append(some, p)
		}
	}
	return some
}

func inSession(leader int) []process {
	return processes(func(p process) bool { return p.session == leader && p.alive() })
}

func childrenOf(parent int) []int {
	var pids []int
	for _, p := range processes(func(p process) bool { return p.parent == parent && p.alive() }) {
		pids = append(pids, p.pid)
	}
	return pids
}

// zombiesOf lists the children that the parent ought to have reaped.
func zombiesOf(parent int) []process {
	return processes(func(p process) bool { return p.parent == parent && p.state == "Z" })
}

// kill sends a signal to one process that this test has started.
func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("signal %v to process %d: %v", sig, pid, err)
	}
}

// hold stops a process and waits until none of its threads runs any more.
func hold(t *testing.T, pid int) {
	t.Helper()
	kill(t, pid, syscall.SIGSTOP)
	await(t, 2*time.Second, fmt.Sprintf("the halt of process %d", pid), func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return false
		}
		for _, thread := range threads {
			if p, exists := readProcess(thread); exists && p.state != "T" {
				return false
			}
		}
		return true
	})
}

// awaitEnd waits until a process is gone.
func awaitEnd(t *testing.T, within time.Duration, pid int) {
	t.Helper()
	await(t, within, fmt.Sprintf("the end of process %d", pid), func() bool {
		p, exists := processOf(pid)
		return !exists || !p.alive()
	})
}

// residence is the proportional set size of a whole session, in bytes: pages
// that its processes share count once.
func residence(session int) int {
	total := 0
	for _, p := range inSession(session) {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		if err != nil {
			continue // gone since it was listed
		}
		for line := range strings.Lines(string(rollup)) {
			if kib, ok := strings.CutPrefix(line, "Pss:"); ok {
				total += atoi(strings.TrimSuffix(strings.TrimSpace(kib), " kB")) << 10
			}
		}
	}
	return total
}

// cpu is the processor time that a session has used.
func cpu(session int) time.Duration {
	ticks := 0
	for _, p := range inSession(session) {
		ticks += p.ticks
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
