package chaos

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"syscall"
	"time"

	"phalanx/e2e/harness"
)

// disruption is one way to disrupt the server. do returns an error if the server does not behave as
// documented.
type disruption struct {
	name string
	do   func(*chaos) error
}

// disruptions returns the disruptions of one round. One that is listed twice is done twice; SIGTTOU is,
// so that now and then it reaches the last slot.
func disruptions() []disruption {
	return []disruption{
		{"SIGHUP", (*chaos).reload},
		{"SIGHUP to its end", (*chaos).reloadFully},
		{"SIGHUP during a reload", (*chaos).reloadTwice},
		{"SIGTTIN", (*chaos).addSlot},
		{"SIGTTIN", (*chaos).addSlot},
		{"SIGTTOU", (*chaos).removeSlot},
		{"SIGTTOU", (*chaos).removeSlot},
		{"SIGKILL while the pool is stable", (*chaos).killWhenStable},
		{"SIGKILL at a random time", (*chaos).killAtAnyTime},
		{"SIGSTOP until the master kills", (*chaos).hang},
		{"SIGSTOP for a moment", (*chaos).stopBriefly},
		{"a new worker binary", (*chaos).renew},
		{"SIGUSR2", (*chaos).upgrade},
		{"a worker binary that cannot be executed", (*chaos).installNoProgram},
		{"a worker binary that exits at once", (*chaos).installFailing},
	}
}

func (c *chaos) reload() error {
	c.Signal(syscall.SIGHUP)
	return nil
}

// reloadFully reloads and waits until every old worker has exited.
func (c *chaos) reloadFully() error {
	before := c.inPlace()
	c.Signal(syscall.SIGHUP)
	return c.await("a new worker in each slot", func() bool {
		return !slices.ContainsFunc(c.Workers(), func(pid int) bool { return slices.Contains(before, pid) })
	})
}

// upgrade replaces the master's program, and then all workers. It sends no other signal until
// the new program runs: one that scripts/build.sh did not build, as with -programs.race, is
// killed by a signal in its first milliseconds.
func (c *chaos) upgrade() error {
	old := threads(c.PID())
	before := c.inPlace()
	c.Signal(syscall.SIGUSR2)
	err := c.await("a new program in the master", func() bool {
		now := threads(c.PID())
		same := slices.ContainsFunc(old, func(id string) bool { return slices.Contains(now, id) })
		if same {
			before = c.inPlace()
		}
		return !same
	})
	if err != nil {
		return err
	}
	return c.await("a new worker in each slot", func() bool {
		return !slices.ContainsFunc(c.Workers(), func(pid int) bool { return slices.Contains(before, pid) })
	})
}

// reloadTwice starts a second reload once the first has started a replacement.
func (c *chaos) reloadTwice() error {
	before := c.Workers()
	c.Signal(syscall.SIGHUP)
	err := c.await("a first replacement", func() bool {
		return slices.ContainsFunc(c.Workers(), func(pid int) bool { return !slices.Contains(before, pid) })
	})
	c.Signal(syscall.SIGHUP)
	return err
}

func (c *chaos) addSlot() error {
	c.slots++
	c.Signal(syscall.SIGTTIN)
	return nil
}

func (c *chaos) removeSlot() error {
	if c.slots > 1 {
		c.slots--
		c.Signal(syscall.SIGTTOU)
		return nil
	}
	c.refusals++
	c.Signal(syscall.SIGTTOU)
	return c.await("a line that refuses SIGTTOU for the last worker", func() bool { return c.linesMatching(lastStays, 0) == c.refusals })
}

// inPlace returns the workers of the slots that are not being closed.
func (c *chaos) inPlace() []int {
	return slices.DeleteFunc(c.Workers(), func(pid int) bool {
		slot := slotOf(pid)
		return slot < 0 || slot >= c.slots
	})
}

// settled reports whether no worker is being started, replaced or drained.
func (c *chaos) settled() bool {
	c.reopen()
	if len(c.Workers()) != c.slots {
		return false // cheaper than a census
	}
	n, err := c.count()
	return err == nil && n.stable(c.slots)
}

// filled reports whether every slot has a worker.
func (c *chaos) filled() bool {
	c.reopen()
	n, err := c.count()
	return err == nil && n.filled(c.slots)
}

// reopen sends SIGHUP when a slot was quarantined, as it must be when too many of its
// workers have died in a short time.
func (c *chaos) reopen() {
	if n := c.linesMatching(gaveUp, 0); n > c.reopened {
		c.reopened = n
		c.Signal(syscall.SIGHUP)
	}
}

// lines returns the number of lines on standard error.
func (c *chaos) lines() int {
	_, lines := c.Log.All()
	return len(lines)
}

// linesMatching counts the lines on standard error that match, from a line on.
func (c *chaos) linesMatching(pattern *regexp.Regexp, from int) int {
	_, lines := c.Log.All()
	n := 0
	for _, line := range lines[from:] {
		if pattern.MatchString(line) {
			n++
		}
	}
	return n
}

// draw returns a random number for a choice. It takes exactly one number from the generator,
// however many candidates there are, so that the rest of the schedule does not depend on them.
func (c *chaos) draw() int { return c.rng.IntN(1 << 20) }

// killing is a way in which a worker is killed.
type killing struct {
	how    string
	stable bool // only when no connection is being handed over
	hang   bool // stopped only; the master has to notice and kill it
}

func (c *chaos) killWhenStable() error {
	_, err := c.kill(killing{how: "killed while the pool was stable", stable: true})
	return err
}

// killAtAnyTime kills a worker, half of the time during a reload.
func (c *chaos) killAtAnyTime() error {
	reloading, wait := c.draw()%2 == 0, harness.Between(c.rng, time.Millisecond, 150*time.Millisecond)
	if reloading {
		c.Signal(syscall.SIGHUP)
		<-time.After(wait)
	}
	_, err := c.kill(killing{how: "killed at a random time"})
	return err
}

// hang stops a worker until the master misses its heartbeat and kills it.
func (c *chaos) hang() error {
	pid, err := c.kill(killing{how: "stopped until the master killed it", stable: true, hang: true})
	if err != nil {
		return err
	}
	began := time.Now()
	err = c.await(fmt.Sprintf("the end of process %d, which was stopped", pid), func() bool {
		p, exists := harness.ProcessOf(pid)
		return !exists || !p.Alive()
	})
	if err != nil {
		return errors.Join(err, syscall.Kill(pid, syscall.SIGKILL)) // or the test would never end
	}
	// The last heartbeat was up to a quarter of the timeout before the stop, and the kill may
	// be late on a slow machine.
	if took := time.Since(began); took < chaosHang/8 || took > 4*chaosHang {
		return fmt.Errorf("process %d was killed %v after it stopped, want about %v", pid, took, chaosHang)
	}
	return nil
}

// kill waits for the right moment and kills or stops a worker.
func (c *chaos) kill(k killing) (victim int, err error) {
	choice := c.draw()
	late := c.await("a worker to be "+k.how, func() bool {
		if k.stable && !c.settled() {
			return false
		}
		victim, err = c.tryKill(k, choice)
		return victim != 0 || err != nil
	})
	return victim, errors.Join(err, late)
}

// tryKill chooses a worker, stops it so that it certainly exists, and kills it. It returns 0 if the
// moment is not right.
func (c *chaos) tryKill(k killing, choice int) (victim int, err error) {
	n, err := c.count()
	if err != nil {
		return 0, err
	}
	all := n.victims()
	if len(all) == 0 || k.stable && !n.stable(c.slots) {
		return 0, nil
	}
	victim = all[choice%len(all)]
	if halt(victim) != nil {
		return 0, nil // it has just exited
	}
	if p, exists := harness.ProcessOf(victim); !exists || p.State != "T" {
		return 0, nil
	}
	c.victims = append(c.victims, victim)
	c.logf("process %d of slot %d: %s", victim, n.slots[victim], k.how)
	if k.hang {
		return victim, nil
	}
	return victim, syscall.Kill(victim, syscall.SIGKILL)
}

// stopBriefly stops a worker for less than the hang timeout.
func (c *chaos) stopBriefly() error {
	choice := c.draw()
	all := c.inPlace()
	if len(all) == 0 {
		return nil // every slot is between two workers
	}
	pid := all[choice%len(all)]
	if err := halt(pid); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return nil // it was just replaced
		}
		return err
	}
	if p, exists := harness.ProcessOf(pid); !exists || p.State != "T" {
		return nil // it was about to exit
	}
	<-time.After(chaosHang / 12)
	if p, exists := harness.ProcessOf(pid); !exists || p.State != "T" {
		return fmt.Errorf("process %d was stopped for %v, after which it is %v, want it still stopped", pid, chaosHang/12, p)
	}
	return syscall.Kill(pid, syscall.SIGCONT)
}

// renew replaces the worker binary with a copy of itself and reloads.
func (c *chaos) renew() error {
	if err := harness.Install(c.path, c.good, 0o755); err != nil {
		return err
	}
	c.Signal(syscall.SIGHUP)
	return c.awaitRenewal()
}

// awaitRenewal waits until every worker runs the current binary.
func (c *chaos) awaitRenewal() error {
	return c.await("the new binary in each slot", func() bool {
		file, err := os.Stat(c.path)
		if err != nil {
			return false
		}
		for _, pid := range c.inPlace() {
			runs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
			if err != nil || !os.SameFile(file, runs) {
				return false
			}
		}
		return c.filled()
	})
}

func (c *chaos) installNoProgram() error { return c.installBroken("no program\n", 0o644) }

func (c *chaos) installFailing() error { return c.installBroken("#!/bin/sh\nexit 1\n", 0o755) }

// installBroken replaces the worker binary with a file that does not start, checks that the old workers
// keep serving, and restores it.
func (c *chaos) installBroken(content string, mode os.FileMode) error {
	// A slot that waits for a worker now would get this binary.
	if err := c.await("a worker in each slot", c.filled); err != nil {
		return err
	}
	from := c.lines()
	if err := harness.Install(c.path, []byte(content), mode); err != nil {
		return err
	}
	c.Signal(syscall.SIGHUP)
	err := c.await("a line that a worker did not start", func() bool { return c.linesMatching(notReplaced, from) > 0 })
	if err == nil {
		served := c.load.total()
		err = c.await("responses from the old workers", func() bool { return c.load.total() >= served+50 })
	}
	if err := errors.Join(err, harness.Install(c.path, c.good, 0o755)); err != nil {
		return err
	}
	c.Signal(syscall.SIGHUP)
	err = c.awaitRenewal()
	c.broken = append(c.broken, span{from, c.lines()})
	return err
}
