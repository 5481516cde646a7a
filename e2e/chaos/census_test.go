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
	"sync"
	"syscall"
	"time"

	"phalanx/e2e/harness"
)

// census is which worker holds which sockets. It is exact while every process
// of the server stands still. A connection that nobody has accepted has no
// inode yet and is not in it; one that has an inode but no holder is on its way
// from one worker to another.
type census struct {
	slots     map[int]int      // of each worker's process
	listening []string         // the listening sockets, named as in /proc/PID/fd
	clients   map[string]int   // the accepted connections, and the ports of their clients
	holders   map[string][]int // the workers that have a socket open
}

func (c *chaos) count() (census, error) {
	n := census{slots: map[int]int{}, clients: map[string]int{}, holders: map[string][]int{}}
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

// read takes the server's sockets from a table of the kernel (proc(5)).
func (n *census) read(table string, port int) error {
	const local, remote, state, inode = 1, 2, 3, 9
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
		socket := "socket:[" + field[inode] + "]"
		if field[state] == "0A" {
			n.listening = append(n.listening, socket)
		} else {
			n.clients[socket] = portOf(field[remote])
		}
	}
	return lines.Err()
}

// portOf is the port of an address as the kernel writes it, in hexadecimal
// digits.
func portOf(address string) int {
	_, digits, _ := strings.Cut(address, ":")
	port, err := strconv.ParseUint(digits, 16, 16)
	if err != nil {
		return -1
	}
	return int(port)
}

// descriptors are what a process has open, as /proc/PID/fd names it.
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

// slotOf is the slot that a worker was started for, or -1 while it is not yet
// executed.
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

// staffed reports whether each slot has a worker, and none two: nobody is
// waited for, and nobody is being replaced. A slot that is being closed may
// still be there.
func (n *census) staffed(slots int) bool {
	manned := map[int]bool{}
	for _, socket := range n.listening {
		if len(n.holders[socket]) > 1 {
			return false
		}
		for _, pid := range n.holders[socket] {
			manned[n.slots[pid]] = true
		}
	}
	for slot := range slots {
		if !manned[slot] {
			return false
		}
	}
	return true
}

// whole is staffed, and nobody else is there either.
func (n *census) whole(slots int) bool {
	return n.staffed(slots) && len(n.listening) == slots && len(n.slots) == slots
}

// of are the ports of a worker's clients.
func (n *census) of(pid int) []int {
	var ports []int
	for socket, port := range n.clients {
		if slices.Contains(n.holders[socket], pid) {
			ports = append(ports, port)
		}
	}
	return ports
}

// astray are the ports of the clients whose connections are between workers.
func (n *census) astray() []int {
	var ports []int
	for socket, port := range n.clients {
		if len(n.holders[socket]) == 0 {
			ports = append(ports, port)
		}
	}
	return ports
}

// victims are the workers of slots that stay. One whose slot is being closed
// has no successor, so that what waits for it would be lost with it.
func (n *census) victims(slots int) []int {
	var all []int
	for pid, slot := range n.slots {
		if slot >= 0 && slot < slots && !n.contested(slot) {
			all = append(all, pid)
		}
	}
	slices.Sort(all)
	return all
}

// contested reports that a slot was closed and is open again: which of its two
// sockets is the old one cannot be told.
func (n *census) contested(slot int) bool {
	sockets := 0
	for _, socket := range n.listening {
		if slices.ContainsFunc(n.holders[socket], func(pid int) bool { return n.slots[pid] == slot }) {
			sockets++
		}
	}
	return sockets > 1
}

// death is the end of a worker, and of the connections it had.
type death struct {
	pid   int
	at    time.Time
	how   string
	ports []int // of the clients
}

// toll is all deaths so far.
type toll struct {
	mu     sync.Mutex
	deaths []death
}

func (l *toll) add(d death) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaths = append(l.deaths, d)
}

// of finds the death that took a client's connection along. The same port may
// have been used again since: then the connection is younger.
func (l *toll) of(port int, opened time.Time) (death, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.deaths {
		if opened.Before(d.at) && slices.Contains(d.ports, port) {
			return d, true
		}
	}
	return death{}, false
}

func (l *toll) pids() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var pids []int
	for _, d := range l.deaths {
		pids = append(pids, d.pid)
	}
	return pids
}

// freeze stops the whole server: the master first, so that it starts and reaps
// nobody any more, and then every worker there is.
func (c *chaos) freeze() error {
	if err := halt(c.PID()); err != nil {
		return err
	}
	for _, pid := range c.Workers() {
		if err := halt(pid); err != nil {
			return err
		}
	}
	return nil
}

// thaw lets them all go on, but one.
func (c *chaos) thaw(but int) {
	if c.Gone() {
		return
	}
	for _, pid := range append(c.Workers(), c.PID()) {
		if pid != but {
			// Whoever has gone meanwhile needs no signal.
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// halt stops a process and waits until none of its threads runs.
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
		return fmt.Errorf("process %d does not stop", pid)
	}
	return nil
}

// buried reports whether a process that nobody has reaped has let go of all it
// had: its first thread is shown as dead while others still run, and each has
// closed what it shared before it goes.
func buried(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	p, exists := harness.ProcessOf(pid)
	return err == nil && len(threads) <= 1 && !(exists && p.Alive())
}
