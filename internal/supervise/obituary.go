package supervise

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// OOMKills returns how many processes the kernel has killed on this machine for
// want of memory (vmstat in proc(5)); 0 where it does not tell.
func OOMKills() int {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			kills, _ := strconv.Atoi(strings.TrimSpace(n)) // 0 like all that cannot be told
			return kills
		}
	}
	return 0
}

// circumstances says how a worker lived and what may have killed it, or
// nothing.
func (p *pool) circumstances(w *worker, e Exit) string {
	text := ""
	if e.Signal == syscall.SIGKILL && !w.killed {
		if kills := p.OOMKills(); kills > p.oomKills {
			p.oomKills = kills
			text = "; probably the kernel killed it for want of memory"
		}
	}
	if lived := p.Now().Sub(w.started); lived >= time.Second {
		text += fmt.Sprintf("; it lived %v", lived.Round(time.Second))
		if e.Memory > 0 {
			text += fmt.Sprintf(" and used up to %d MiB", e.Memory>>20)
		}
	}
	return text + w.doing
}
