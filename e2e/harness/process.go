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

// Process is what /proc/PID/stat says, as far as the tests need it.
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

// Alive is false for a process that has ended and that nobody has asked
// about yet.
func (p Process) Alive() bool { return p.State != "Z" && p.State != "X" }

// ProcessOf reads the state of one process, which may be gone.
func ProcessOf(pid int) (Process, bool) { return ReadProcess(fmt.Sprintf("/proc/%d/stat", pid)) }

// ReadProcess reads the stat file of a process or of a thread.
func ReadProcess(path string) (Process, bool) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return Process{}, false
	}
	// The command is in parentheses and may hold any byte, so the fields
	// behind it begin after the last one.
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

// WorkersOf lists the workers of a master.
func WorkersOf(master int) []int {
	var pids []int
	for _, p := range Processes(func(p Process) bool { return p.Parent == master && p.Alive() && !p.IsKeeper() && p.Command != helper }) {
		pids = append(pids, p.PID)
	}
	return pids
}

// HelpersOf lists the helpers of a master: one at most.
func HelpersOf(master int) []int {
	var pids []int
	for _, p := range Processes(func(p Process) bool { return p.Parent == master && p.Alive() && p.Command == helper }) {
		pids = append(pids, p.PID)
	}
	return pids
}

// Hasten gives the helper of a master a usual priority, where this user may: other tests
// would keep it waiting for a CPU as long as they run.
func Hasten(master int) {
	for _, pid := range HelpersOf(master) {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, path := range threads {
			if tid := Atoi(filepath.Base(path)); tid > 0 { // an error means that it has gone
				_ = unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0)
			}
		}
	}
}

// helper is the name of the process of low priority.
const helper = "phalanx-helper"

// KeepersOf lists the keepers of a master's workers.
func KeepersOf(master int) []int {
	var pids []int
	for _, p := range Processes(func(p Process) bool { return p.Parent == master && p.Alive() && p.IsKeeper() }) {
		pids = append(pids, p.PID)
	}
	return pids
}

// IsKeeper reports whether it keeps a worker's descriptors.
func (p Process) IsKeeper() bool { return p.Command == "phalanx-keeper" || p.group != p.PID }

// ChildrenOf lists all children of a process.
func ChildrenOf(parent int) []int {
	var pids []int
	for _, p := range Processes(func(p Process) bool { return p.Parent == parent && p.Alive() }) {
		pids = append(pids, p.PID)
	}
	return pids
}

// ZombiesOf lists the children that the parent ought to have reaped.
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

// Hold stops a process and waits until none of its threads runs any more.
func Hold(t *testing.T, pid int) {
	t.Helper()
	Kill(t, pid, syscall.SIGSTOP)
	Await(t, 2*time.Second, fmt.Sprintf("the halt of process %d", pid), func() bool {
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

// AwaitEnd waits until a process is gone.
func AwaitEnd(t *testing.T, within time.Duration, pid int) {
	t.Helper()
	Await(t, within, fmt.Sprintf("the end of process %d", pid), func() bool {
		p, exists := ProcessOf(pid)
		return !exists || !p.Alive()
	})
}

// Residence is the proportional set size of a whole session, in bytes: pages
// that its processes share count once.
func Residence(session int) int {
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

// CPU is the processor time that a session has used.
func CPU(session int) time.Duration {
	ticks := 0
	for _, p := range inSession(session) {
		ticks += p.ticks
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
