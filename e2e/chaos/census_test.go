package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"phalanx/e2e/harness"
)

// census records which worker holds which listening sockets.
type census struct {
	slots     map[int]int      // slot of each worker, by pid
	listening []string         // listening sockets, named as in /proc/PID/fd
	holders   map[string][]int // workers that have each socket open
}

func (c *chaos) count() (census, error) {
	n := census{slots: map[int]int{}, holders: map[string][]int{}}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if err := n.read(table, c.Port); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
	}
	for _, pid := range c.Workers() {
		n.slots[pid] = slotOf(pid)
		for _, link := range descriptors(pid) {
			if !slices.Contains(n.holders[link], pid) {
				n.holders[link] = append(n.holders[link], pid)
			}
		}
	}
	return n, nil
}

// read adds the server's listening sockets from a table of the kernel (proc(5)).
func (n *census) read(table string, port int) error {
	const local, state, inode = 1, 3, 9
	f, err := os.Open(table)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if len(field) <= inode || portOf(field[local]) != port || field[inode] == "0" {
			continue
		}
		if field[state] == "0A" {
			n.listening = append(n.listening, "socket:["+field[inode]+"]")
		}
	}
	return lines.Err()
}

// portOf returns the port of an address that the kernel writes in hexadecimal digits, or -1.
func portOf(address string) int {
	_, digits, _ := strings.Cut(address, ":")
	port, err := strconv.ParseUint(digits, 16, 16)
	if err != nil {
		return -1
	}
	return int(port)
}

// descriptors returns the targets of a process's descriptors, as /proc/PID/fd names them.
func descriptors(pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // gone
	}
	var links []string
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			links = append(links, link)
		}
	}
	return links
}

// threads returns the threads of a process except the first, the only one that survives execve(2).
func threads(pid int) []string {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil // gone
	}
	var ids []string
	for _, e := range entries {
		if e.Name() != strconv.Itoa(pid) {
			ids = append(ids, e.Name())
		}
	}
	return ids
}

// slotOf returns the slot that a worker was started for, or -1 before its execve(2).
func slotOf(pid int) int {
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return -1
	}
	for word := range strings.SplitSeq(string(words), "\x00") {
		if slot, ok := strings.CutPrefix(word, "--slot="); ok {
			return harness.Atoi(slot)
		}
	}
	return -1
}

// filled reports whether each slot has exactly one worker: none is missing or being
// replaced. A slot that is being closed may still exist.
func (n *census) filled(slots int) bool {
	filled := map[int]bool{}
	for _, socket := range n.listening {
		if len(n.holders[socket]) > 1 {
			return false
		}
		for _, pid := range n.holders[socket] {
			filled[n.slots[pid]] = true
		}
	}
	for slot := range slots {
		if !filled[slot] {
			return false
		}
	}
	return true
}

// stable reports whether the pool is filled and has no other workers or sockets.
func (n *census) stable(slots int) bool {
	return n.filled(slots) && len(n.listening) == slots && len(n.slots) == slots
}

// victims returns the workers that may be killed: all that run the worker binary already.
func (n *census) victims() []int {
	var all []int
	for pid, slot := range n.slots {
		if slot >= 0 {
			all = append(all, pid)
		}
	}
	slices.Sort(all)
	return all
}

// halt sends SIGSTOP to a process and waits until all of its threads are stopped.
func halt(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	stopped := harness.Holds(5*time.Second, func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return err == nil && !slices.ContainsFunc(threads, func(thread string) bool {
			p, exists := harness.ReadProcess(thread)
			return exists && p.Alive() && p.State != "T"
		})
	})
	if !stopped {
		return fmt.Errorf("process %d was not stopped by SIGSTOP", pid)
	}
	return nil
}
