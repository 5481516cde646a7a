//go:build !killpoints

package supervise

import "time"

const (
	longDelay     = 10 * time.Second // the longest backoff
	deathLimit    = 12               // deaths within deathWindow after which a slot is given up while others serve
	rescueCrashes = 3                // workers that may crash or fail while they take over a dead one's connections
	rescueKills   = 20               // and that may be killed from outside
	replaceKills  = 5                // replacements in a row that may be killed from outside, after which a reload ends
)
