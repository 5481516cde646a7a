package supervise

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// This file finds out whether a worker was probably killed for lack of memory.

// oomEvery is the time between two readings of the number of OOM kills.
const oomEvery = 10 * time.Second

// oomState is what is known about OOM kills. They are of the whole machine, so only recent ones may
// explain the death of a worker.
type oomState struct {
	last, before int       // number of OOM kills when read last, and before that; it never decreases
	readAgain    time.Time // when it is read next
}

// readOOM reads the number of OOM kills, and again after a while. Without a free descriptor it cannot.
func (p *pool) readOOM() {
	p.oom.last, p.oom.before = max(p.oom.last, p.OOMKills()), p.oom.last
	p.oom.readAgain = p.Now().Add(oomEvery)
}

// explainedByOOM reports whether the OOM killer has killed a process within the last 20 s. Each kill
// explains one death: a process may take a moment to exit after it was counted.
func (p *pool) explainedByOOM() bool {
	kills := p.OOMKills()
	if kills <= p.oom.before {
		return false
	}
	p.oom.last, p.oom.before = min(p.oom.last+1, kills), p.oom.before+1
	return true
}

// OOMKills returns how many processes the kernel has killed on this machine for
// lack of memory (vmstat in proc(5)); 0 if unknown.
func OOMKills() int {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			kills, _ := strconv.Atoi(strings.TrimSpace(n)) // 0 if unknown
			return kills
		}
	}
	return 0
}
