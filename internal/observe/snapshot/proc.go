package snapshot

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// ticks is the number of clock ticks per second of CPU time in /proc (USER_HZ,
// which is 100 on every Linux).
const ticks = 100

// usage returns the CPU time in seconds and the resident memory in bytes of a
// process, zeros if it has exited (proc(5): fields 14, 15 and 24 of stat).
func usage(proc string, pid int) (cpu float64, memory int64) {
	text, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0
	}
	// The name, in parentheses, may have spaces and parentheses itself.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return 0, 0
	}
	number := func(field int) int64 { // counted as in the manual
		n, _ := strconv.ParseInt(string(fields[field-3]), 10, 64) // 0 if unknown
		return n
	}
	return float64(number(14)+number(15)) / ticks, number(24) * int64(os.Getpagesize())
}
