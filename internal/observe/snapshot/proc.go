package snapshot

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ticks is the number of clock ticks per second of CPU time in /proc (USER_HZ,
// which is 100 on every Linux).
const ticks = 100

// process is what /proc says about a process.
type process struct {
	cpu    float64 // CPU time in seconds
	memory int64   // resident memory in bytes
	began  float64 // when it was started, in seconds since the machine was
}

// read returns zeros for a process that has exited (proc(5): fields 14, 15, 22 and 24 of stat).
func read(proc string, pid int) process {
	text, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}
	}
	// The name, in parentheses, may have spaces and parentheses itself.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return process{}
	}
	number := func(field int) int64 { // counted as in the manual
		n, _ := strconv.ParseInt(string(fields[field-3]), 10, 64) // 0 if unknown
		return n
	}
	return process{float64(number(14)+number(15)) / ticks, number(24) * int64(os.Getpagesize()), float64(number(22)) / ticks}
}

// uptime returns for how many seconds a process has been running, whatever the clock was set to
// since then. Without /proc it is the difference of two times.
func (p process) uptime(started, now time.Time) float64 {
	var boot unix.Timespec
	if p.began == 0 || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return max(0, now.Sub(started).Seconds())
	}
	return max(0, time.Duration(boot.Nano()).Seconds()-p.began)
}
