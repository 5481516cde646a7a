//go:build killpoints

package rescue

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// In one of how many times a point kills, from $PHALANX_KILL_ONE_IN; 0 is never.
var oneIn, random = killing()

func killing() (uint64, uint64) {
	n, _ := strconv.ParseUint(os.Getenv("PHALANX_KILL_ONE_IN"), 10, 64)
	return n, uint64(time.Now().UnixNano())*2654435761 | 1
}

// point kills the worker now and then, as SIGKILL from outside would. Rare
// points have to kill more often.
func point(k int) {
	if oneIn == 0 {
		return
	}
	random ^= random << 13
	random ^= random >> 7
	random ^= random << 17
	n := oneIn
	if k == pointUnsent || k == pointHeld || k == PointTaken {
		n = oneIn/20 + 1
	}
	if random%n == 0 {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		for {
		}
	}
}

// Point is that of other packages.
func Point(k int) { point(k) }
