//go:build !killpoints

package supervise

import "time"

const (
	longDelay     = 10 * time.Second // the longest backoff
	deathLimit    = 12               // deaths within deathWindow after which a slot is given up while others serve
	rescueRetries = 3                // workers that may die or fail while they take over a dead one's connections
)
