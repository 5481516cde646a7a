//go:build killpoints

package rescue

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// names are the names of the points, for counting the kills at each.
var names = [numPoints]string{
	"commit", "committed", "copied", "done", "unsent", "held", "state", "accepted", "receive", "received",
	"send", "sent", "file", "close", "closed", "taken", "give", "given", "from",
}

// A point kills once in oneIn times on average, one of a handover once in movingOneIn
// times; both come from the environment, 0 is never.
var (
	oneIn, movingOneIn = odds("KILL_ONE_IN"), odds("KILL_MOVING_ONE_IN")
	random             = uint64(time.Now().UnixNano())*2654435761 | 1
)

// Variables are the names of environment variables that a worker reads.
func Variables() []string { return []string{"KILL_ONE_IN", "KILL_MOVING_ONE_IN"} }

func odds(variable string) uint64 {
	n, _ := strconv.ParseUint(os.Getenv(variable), 10, 64)
	return n
}

// Point kills the worker at random with SIGKILL, and reports where. Rare points have to kill more often.
func Point(k int) {
	random ^= random << 13
	random ^= random >> 7
	random ^= random << 17
	n := oneIn
	switch k {
	case pointState, pointUnsent, pointHeld:
		n = (oneIn + 3) / 4
	case PointAccepted, PointClose, PointClosed: // once in the life of a connection
		n = min((oneIn+3)/4, oneIn/20+50)
	case PointGive, PointGiven, PointFrom, PointTaken:
		n = movingOneIn
	}
	if n > 0 && random%n == 0 {
		fmt.Fprintf(os.Stderr, "killed at point %s\n", names[k])
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		for {
		}
	}
}

func point(k int) { Point(k) }

// Fault makes a worker crash by its own fault on certain requests.
func Fault(received []byte) {
	switch {
	case bytes.HasPrefix(received, []byte("GET /killpoints/panic ")):
		panic("a request that kills")
	case bytes.HasPrefix(received, []byte("GET /killpoints/segv ")):
		_ = unix.Kill(os.Getpid(), unix.SIGSEGV)
		for {
		}
	}
}
