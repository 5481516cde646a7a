// Package proctree reads the resource usage of a process and all its
// descendants from /proc. CPU time is what the kernel charges to the processes
// (the time of interrupts goes to the process that was running). Memory is PSS,
// in which a page shared by n processes counts 1/n for each.
package proctree

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tick is the unit of CPU time in /proc, the same on every architecture that
// Go supports (USER_HZ, proc(5)).
const Tick = 0.01 // s

// Process is the resource usage of one process.
type Process struct {
	PID         int
	Parent      int
	Name        string
	CPU         float64 // s, user and system, including reaped children
	Voluntary   float64 // context switches of all threads
	Involuntary float64
	Sockets     int // open

	own, reaped float64 // s, from the ticks
}

// Usage is the resource usage of a process tree at one moment.
type Usage struct {
	Processes []Process // the root first, then by pid
}

// CPU returns the CPU time of all processes. The difference of two samples of a
// tree includes the processes that exited in between, since their parent has
// reaped them.
func (u Usage) CPU() (seconds float64) {
	for _, p := range u.Processes {
		seconds += p.CPU
	}
	return seconds
}

// Switches returns the context switches of all living threads.
func (u Usage) Switches() (voluntary, involuntary float64) {
	for _, p := range u.Processes {
		voluntary += p.Voluntary
		involuntary += p.Involuntary
	}
	return voluntary, involuntary
}

// Reader reads from a /proc, or from a copy of one.
type Reader struct {
	Proc fs.FS
	// Link reads a symbolic link below Proc.
	Link func(name string) (string, error)
}

// Tree samples the process root and its descendants, without those that exit
// meanwhile. It is an error if root has exited.
func (r Reader) Tree(root int) (Usage, error) {
	parents, err := r.parents()
	if err != nil {
		return Usage{}, err
	}
	if _, ok := parents[root]; !ok {
		return Usage{}, fmt.Errorf("process %d has exited", root)
	}
	var u Usage
	for _, pid := range descendants(parents, root) {
		p, err := r.process(pid)
		if err == nil {
			u.Processes = append(u.Processes, p)
		}
	}
	return u, nil
}

func (r Reader) parents() (map[int]int, error) {
	entries, err := fs.ReadDir(r.Proc, ".")
	if err != nil {
		return nil, err
	}
	parents := make(map[int]int)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := r.stat(pid); err == nil {
			parents[pid] = p.Parent
		}
	}
	return parents, nil
}

// descendants lists root and all its descendants, root first.
func descendants(parents map[int]int, root int) []int {
	found := []int{root}
	for i := 0; i < len(found); i++ {
		var children []int
		for pid, parent := range parents {
			if parent == found[i] && pid != root {
				children = append(children, pid)
			}
		}
		slices.Sort(children)
		found = append(found, children...)
	}
	return found
}

func (r Reader) process(pid int) (Process, error) {
	p, err := r.stat(pid)
	if err != nil {
		return p, err
	}
	tasks := path.Join(strconv.Itoa(pid), "task")
	threads, err := fs.ReadDir(r.Proc, tasks)
	if err != nil {
		return p, err
	}
	ran := 0.0
	for _, t := range threads {
		text, err := fs.ReadFile(r.Proc, path.Join(tasks, t.Name(), "status"))
		if err != nil {
			continue // the thread has exited
		}
		p.Voluntary += field(text, "voluntary_ctxt_switches:")
		p.Involuntary += field(text, "nonvoluntary_ctxt_switches:")
		ran += r.ran(path.Join(tasks, t.Name(), "schedstat"))
	}
	p.CPU = p.reaped + max(p.own, ran)
	return p, nil
}

// ran returns the CPU time of a thread in seconds, from its schedstat. Ticks
// alone would lose the work of a thousand processes that each run for less than
// one.
func (r Reader) ran(name string) float64 {
	text, err := fs.ReadFile(r.Proc, name)
	if err != nil {
		return 0 // the thread has exited, or the kernel has no schedstat
	}
	ns, _ := strconv.ParseInt(strings.SplitN(string(text), " ", 2)[0], 10, 64)
	return float64(ns) / 1e9
}

// stat parses /proc/PID/stat. The name in parentheses may contain anything, so
// fields are counted from the last parenthesis.
func (r Reader) stat(pid int) (Process, error) {
	text, err := fs.ReadFile(r.Proc, path.Join(strconv.Itoa(pid), "stat"))
	if err != nil {
		return Process{}, err
	}
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return Process{}, fmt.Errorf("stat of process %d: no name", pid)
	}
	fields := strings.Fields(string(text[end+1:]))
	const parent, first, last = 1, 11, 14 // ppid; utime, stime, cutime, cstime
	if len(fields) <= last {
		return Process{}, fmt.Errorf("stat of process %d: %d fields", pid, len(fields))
	}
	p := Process{PID: pid, Name: string(text[open+1 : end])}
	if p.Parent, err = strconv.Atoi(fields[parent]); err != nil {
		return Process{}, err
	}
	for i, f := range fields[first : last+1] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return Process{}, err
		}
		if i < 2 {
			p.own += float64(ticks) * Tick
		} else {
			p.reaped += float64(ticks) * Tick
		}
	}
	return p, nil
}

// CountSockets fills in how many sockets each process has open.
func (r Reader) CountSockets(u Usage) {
	for i := range u.Processes {
		p := &u.Processes[i]
		dir := path.Join(strconv.Itoa(p.PID), "fd")
		entries, err := fs.ReadDir(r.Proc, dir)
		if err != nil {
			continue
		}
		p.Sockets = 0
		for _, e := range entries {
			if to, err := r.Link(path.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
				p.Sockets++
			}
		}
	}
}

// PSS returns the memory of a tree in bytes.
func (r Reader) PSS(u Usage) (total int64) {
	for _, p := range u.Processes {
		text, err := fs.ReadFile(r.Proc, path.Join(strconv.Itoa(p.PID), "smaps_rollup"))
		if err == nil {
			total += int64(field(text, "Pss:")) << 10 // kB
		}
	}
	return total
}

// Busy returns the CPU time that the whole machine has used, in seconds: programs
// is user and system time, whole includes interrupts.
func (r Reader) Busy() (programs, whole float64, err error) {
	text, err := fs.ReadFile(r.Proc, "stat")
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(text[:max(0, bytes.IndexByte(text, '\n'))]))
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("/proc/stat has no cpu line")
	}
	for i, f := range fields[1:8] { // user, nice, system, idle, iowait, irq, softirq
		ticks, err := strconv.ParseFloat(f, 64)
		switch {
		case err != nil:
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		case i < 3:
			programs += ticks * Tick
			whole += ticks * Tick
		case i > 4:
			whole += ticks * Tick
		}
	}
	return programs, whole, nil
}

// field returns the number after a name at the beginning of a line, or 0.
func field(text []byte, name string) float64 {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok {
			continue
		}
		if f := strings.Fields(rest); len(f) > 0 {
			n, _ := strconv.ParseFloat(f[0], 64)
			return n
		}
	}
	return 0
}
