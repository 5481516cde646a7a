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

// deed is something that is done to the server. An error is a promise that it
// did not keep.
type deed struct {
	name string
	do   func(*chaos) error
}

// deeds is the deck. A deed that stands in it twice is done twice in a round;
// slots are taken away twice, so that now and then the last one is asked for.
func deeds() []deed {
	return []deed{
		{"SIGHUP", (*chaos).roll},
		{"SIGHUP to its end", (*chaos).rollThrough},
		{"SIGHUP during a roll", (*chaos).rollAgain},
		{"SIGTTIN", (*chaos).more},
		{"SIGTTIN", (*chaos).more},
		{"SIGTTOU", (*chaos).less},
		{"SIGTTOU", (*chaos).less},
		{"SIGKILL in quiet", (*chaos).killInQuiet},
		{"SIGKILL at any time", (*chaos).killAtAnyTime},
		{"SIGSTOP until the master kills", (*chaos).hang},
		{"SIGSTOP for a moment", (*chaos).stumble},
		{"a new binary", (*chaos).renew},
		{"SIGUSR2", (*chaos).upgrade},
		{"a binary that cannot be executed", (*chaos).putNoProgram},
		{"a binary that exits at once", (*chaos).putFailing},
	}
}

func (c *chaos) roll() error {
	c.Signal(syscall.SIGHUP)
	return nil
}

// rollThrough waits until all who were there have gone.
func (c *chaos) rollThrough() error {
	before := c.inPlace()
	c.Signal(syscall.SIGHUP)
	return c.await("another worker in each slot", func() bool {
		return !slices.ContainsFunc(c.Workers(), func(pid int) bool { return slices.Contains(before, pid) })
	})
}

// upgrade replaces the master's own program, and then all workers. No other signal is
// sent before: a program that is not built by scripts/build.sh, as with -programs.race,
// dies of one in its first milliseconds.
func (c *chaos) upgrade() error {
	old := threads(c.PID())
	before := c.inPlace()
	c.Signal(syscall.SIGUSR2)
	err := c.await("another program of the master", func() bool {
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
	return c.await("another worker in each slot", func() bool {
		return !slices.ContainsFunc(c.Workers(), func(pid int) bool { return slices.Contains(before, pid) })
	})
}

// rollAgain begins a roll anew when the first replacement has been started.
func (c *chaos) rollAgain() error {
	before := c.Workers()
	c.Signal(syscall.SIGHUP)
	err := c.await("a first replacement", func() bool {
		return slices.ContainsFunc(c.Workers(), func(pid int) bool { return !slices.Contains(before, pid) })
	})
	c.Signal(syscall.SIGHUP)
	return err
}

func (c *chaos) more() error {
	c.slots++
	c.Signal(syscall.SIGTTIN)
	return nil
}

func (c *chaos) less() error {
	if c.slots > 1 {
		c.slots--
		c.Signal(syscall.SIGTTOU)
		return nil
	}
	c.refusals++
	c.Signal(syscall.SIGTTOU)
	return c.await("a line that refuses to take the last worker away", func() bool { return c.said(lastStays, 0) == c.refusals })
}

// inPlace are the workers of the slots that stay.
func (c *chaos) inPlace() []int {
	return slices.DeleteFunc(c.Workers(), func(pid int) bool {
		slot := slotOf(pid)
		return slot < 0 || slot >= c.slots
	})
}

// settled reports that nobody is being replaced, started or sent away.
func (c *chaos) settled() bool {
	c.revive()
	if len(c.Workers()) != c.slots {
		return false // which costs much less to find out
	}
	n, err := c.count()
	return err == nil && n.whole(c.slots)
}

// staffed reports that no slot waits for a process.
func (c *chaos) staffed() bool {
	c.revive()
	n, err := c.count()
	return err == nil && n.staffed(c.slots)
}

// revive sends the HUP for which a slot waits that was given up, as it has to
// be when too many of its workers have died in a short time.
func (c *chaos) revive() {
	if n := c.said(gaveUp, 0); n > c.revived {
		c.revived = n
		c.Signal(syscall.SIGHUP)
	}
}

// lines is how many there are on standard error.
func (c *chaos) lines() int {
	_, lines := c.Log.All()
	return len(lines)
}

// said counts the lines on standard error that say something, from one on.
func (c *chaos) said(something *regexp.Regexp, from int) int {
	_, lines := c.Log.All()
	n := 0
	for _, line := range lines[from:] {
		if something.MatchString(line) {
			n++
		}
	}
	return n
}

// draw takes one number for a choice, however many there are to choose from:
// the rest of the schedule must not depend on it.
func (c *chaos) draw() int { return c.rng.IntN(1 << 20) }

// blow is a way in which a worker loses its life.
type blow struct {
	how   string
	quiet bool // when no connection can be between two workers
	hang  bool // it is only stopped, and the master has to notice
}

func (c *chaos) killInQuiet() error {
	_, err := c.strike(blow{how: "killed in quiet", quiet: true})
	return err
}

// killAtAnyTime makes sure that it often hits a roll.
func (c *chaos) killAtAnyTime() error {
	rolling, wait := c.draw()%2 == 0, harness.Between(c.rng, time.Millisecond, 150*time.Millisecond)
	if rolling {
		c.Signal(syscall.SIGHUP)
		<-time.After(wait)
	}
	_, err := c.strike(blow{how: "killed at any time"})
	return err
}

// hang stops a worker for good: the master hears no heartbeat from it.
func (c *chaos) hang() error {
	pid, err := c.strike(blow{how: "stopped until the master killed it", quiet: true, hang: true})
	if err != nil {
		return err
	}
	began := time.Now()
	err = c.await(fmt.Sprintf("an end of process %d, which was stopped", pid), func() bool {
		p, exists := harness.ProcessOf(pid)
		return !exists || !p.Alive()
	})
	if err != nil {
		return errors.Join(err, syscall.Kill(pid, syscall.SIGKILL)) // or nothing would end
	}
	// Its last heartbeat is older than the halt: by a quarter of the time, and by more where
	// it comes late because the machine is slow.
	if took := time.Since(began); took < chaosHang/8 || took > 4*chaosHang {
		return fmt.Errorf("process %d was stopped and killed after %v, want about %v", pid, took, chaosHang)
	}
	return nil
}

// strike waits for the moment and strikes.
func (c *chaos) strike(b blow) (victim int, err error) {
	choice := c.draw()
	late := c.await("a victim, "+b.how, func() bool {
		if b.quiet && !c.settled() {
			return false
		}
		victim, err = c.fell(b, choice)
		return victim != 0 || err != nil
	})
	return victim, errors.Join(err, late)
}

// fell chooses a victim and stops it, so that it is certainly there, before it is
// killed. It returns 0 when this is not the moment.
func (c *chaos) fell(b blow, choice int) (victim int, err error) {
	n, err := c.count()
	if err != nil {
		return 0, err
	}
	all := n.victims()
	if len(all) == 0 || b.quiet && !n.whole(c.slots) {
		return 0, nil
	}
	victim = all[choice%len(all)]
	if halt(victim) != nil {
		return 0, nil // it has just gone
	}
	if p, exists := harness.ProcessOf(victim); !exists || p.State != "T" {
		return 0, nil
	}
	c.victims = append(c.victims, victim)
	c.logf("process %d of slot %d is %s", victim, n.slots[victim], b.how)
	if b.hang {
		return victim, nil
	}
	return victim, syscall.Kill(victim, syscall.SIGKILL)
}

// stumble stops a worker for less time than the master would mind.
func (c *chaos) stumble() error {
	choice := c.draw()
	all := c.inPlace()
	if len(all) == 0 {
		return nil // each is between two processes
	}
	pid := all[choice%len(all)]
	if err := halt(pid); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return nil // it was replaced in this moment
		}
		return err
	}
	if p, exists := harness.ProcessOf(pid); !exists || p.State != "T" {
		return nil // or it was about to go
	}
	<-time.After(chaosHang / 12)
	if p, exists := harness.ProcessOf(pid); !exists || p.State != "T" {
		return fmt.Errorf("process %d was stopped for %v, and is %v", pid, chaosHang/12, p)
	}
	return syscall.Kill(pid, syscall.SIGCONT)
}

// renew puts another copy of the worker in the place of the one that runs.
func (c *chaos) renew() error {
	if err := harness.Install(c.path, c.good, 0o755); err != nil {
		return err
	}
	c.Signal(syscall.SIGHUP)
	return c.awaitRenewal()
}

// awaitRenewal waits until every worker runs the file that is there now.
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
		return c.staffed()
	})
}

func (c *chaos) putNoProgram() error { return c.spoil("no program\n", 0o644) }

func (c *chaos) putFailing() error { return c.spoil("#!/bin/sh\nexit 1\n", 0o755) }

// spoil puts a file that is no worker in the place of the binary, wants the old
// workers to go on, and cures it.
func (c *chaos) spoil(content string, mode os.FileMode) error {
	// A slot that waits for a process now would get this one.
	if err := c.await("a worker in each slot", c.staffed); err != nil {
		return err
	}
	from := c.lines()
	if err := harness.Install(c.path, []byte(content), mode); err != nil {
		return err
	}
	c.Signal(syscall.SIGHUP)
	err := c.await("a line about the worker that does not start", func() bool { return c.said(notReplaced, from) > 0 })
	if err == nil {
		served := c.load.total()
		err = c.await("replies of the old workers", func() bool { return c.load.total() >= served+50 })
	}
	if err := errors.Join(err, harness.Install(c.path, c.good, 0o755)); err != nil {
		return err
	}
	c.Signal(syscall.SIGHUP)
	err = c.awaitRenewal()
	c.spoiled = append(c.spoiled, span{from, c.lines()})
	return err
}
