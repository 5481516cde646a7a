package harness

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

	"golang.org/x/sys/unix"
)

// Process is the part of /proc/PID/stat that the tests need.
type Process struct {
	PID     int
	Command string
	State   string
	Parent  int
	group   int
	session int
	ticks   int // user and system time, in hundredths of a second
}

func (p Process) String() string { return fmt.Sprintf("%d (%s, %s)", p.PID, p.Command, p.State) }

// Alive reports whether the process has not exited. It is false for a zombie.
func (p Process) Alive() bool { return p.State != "Z" && p.State != "X" }

// ProcessOf reads the state of a process; the second result is false if there
// is none.
func ProcessOf(pid int) (Process, bool) { return ReadProcess(fmt.Sprintf("/proc/%d/stat", pid)) }

// ReadProcess is ProcessOf for the path of a stat file, also that of a thread.
func ReadProcess(path string) (Process, bool) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return Process{}, false
	}
	// The command is in parentheses and may contain any byte, so the other
	// fields follow the last parenthesis.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	return Process{
		PID:     Atoi(strings.TrimSpace(string(stat[:open]))),
		Command: string(stat[open+1 : end]),
		State:   fields[0],
		Parent:  Atoi(fields[1]),
		group:   Atoi(fields[2]),
		session: Atoi(fields[3]),
		ticks:   Atoi(fields[11]) + Atoi(fields[12]),
	}, true
}

// Atoi parses a decimal number; it returns -1 if s is not one.
func Atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// Processes lists all processes of the machine for which ok holds.
func Processes(ok func(Process) bool) []Process {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var some []Process
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		if p, exists := ProcessOf(pid); exists && ok(p) {
			some = append(some, p)
		}
	}
	return some
}

func inSession(leader int) []Process {
	return Processes(func(p Process) bool { return p.session == leader && p.Alive() })
}

// WorkersOf lists the pids of a master's workers.
func WorkersOf(master int) []int {
	var pids []int
	for _, p := range Processes(func(p Process) bool { return p.Parent == master && p.Alive() && !p.IsKeeper() && p.Command != helper }) {
		pids = append(pids, p.PID)
	}
	return pids
}

// HelpersOf lists the pids of a master's helpers: at most one.
func HelpersOf(master int) []int {
	var pids []int
	for _, p := range Processes(func(p Process) bool { return p.Parent == master && p.Alive() && p.Command == helper }) {
		pids = append(pids, p.PID)
	}
	return pids
}

// RaisePriority gives the helper of a master normal priority, if this user may: at its low
// priority it would get no CPU while other tests run.
func RaisePriority(master int) {
	for _, pid := range HelpersOf(master) {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, path := range threads {
			if tid := Atoi(filepath.Base(path)); tid > 0 { // an error means that it has exited
				_ = unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0)
			}
		}
	}
}

// helper is the command name of a master's helper, which has low priority.
const helper = "phalanx-helper"

// KeepersOf lists the pids of the keepers of a master's workers.
func KeepersOf(master int) []int {
	var pids []int
	for _, p := range Processes(func(p Process) bool { return p.Parent == master && p.Alive() && p.IsKeeper() }) {
		pids = append(pids, p.PID)
	}
	return pids
}

// IsKeeper reports whether the process is the keeper of a worker.
func (p Process) IsKeeper() bool { return p.Command == "phalanx-keeper" || p.group != p.PID }

// ChildrenOf lists the pids of all children of a process.
func ChildrenOf(parent int) []int {
	var pids []int
	for _, p := range Processes(func(p Process) bool { return p.Parent == parent && p.Alive() }) {
		pids = append(pids, p.PID)
	}
	return pids
}

// ZombiesOf lists the children that the parent has not reaped.
func ZombiesOf(parent int) []Process {
	return Processes(func(p Process) bool { return p.Parent == parent && p.State == "Z" })
}

// Kill sends a signal to one process that this test has started.
func Kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("signal %v to process %d: %v", sig, pid, err)
	}
}

// Suspend sends SIGSTOP to a process and waits until all its threads have stopped.
func Suspend(t *testing.T, pid int) {
	t.Helper()
	Kill(t, pid, syscall.SIGSTOP)
	Await(t, 2*time.Second, fmt.Sprintf("process %d stopped by SIGSTOP", pid), func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return false
		}
		for _, thread := range threads {
			if p, exists := ReadProcess(thread); exists && p.State != "T" {
				return false
			}
		}
		return true
	})
}

// AwaitEnd waits until a process has exited.
func AwaitEnd(t *testing.T, within time.Duration, pid int) {
	t.Helper()
	Await(t, within, fmt.Sprintf("the end of process %d", pid), func() bool {
		p, exists := ProcessOf(pid)
		return !exists || !p.Alive()
	})
}

// PSS returns the PSS of a whole session in bytes: pages that its
// processes share count once.
func PSS(session int) int {
	total := 0
	for _, p := range inSession(session) {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
		if err != nil {
			continue // gone since it was listed
		}
		for line := range strings.Lines(string(rollup)) {
			if kib, ok := strings.CutPrefix(line, "Pss:"); ok {
				total += Atoi(strings.TrimSuffix(strings.TrimSpace(kib), " kB")) << 10
			}
		}
	}
	return total
}

// CPU returns the CPU time that the processes of a session have used.
func CPU(session int) time.Duration {
	ticks := 0
	for _, p := range inSession(session) {
		ticks += p.ticks
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
