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
func Point(name string) {
	random ^= random << 13
	random ^= random >> 7
	random ^= random << 17
	n := oneIn
	switch name {
	case "unsent", "held":
		n = (oneIn + 3) / 4
	case "state", "accepted", "close", "closed": // the rarest, most of them once in the life of a connection
		n = min((oneIn+3)/4, oneIn/20+50)
	case "give", "given", "from", "taken":
		n = movingOneIn
	}
	if n > 0 && random%n == 0 {
		fmt.Fprintf(os.Stderr, "killed at point %s\n", name)
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		for {
		}
	}
}

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
