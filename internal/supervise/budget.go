//go:build !killpoints

package supervise

import "time"

const (
	longDelay     = 10 * time.Second // the longest backoff
	deathLimit    = 12               // deaths within deathWindow after which a slot is quarantined while others serve
	rescueCrashes = 3                // workers that may crash or fail while they rescue the connections of one dead worker
	rescueKills   = 20               // workers that may be killed from outside meanwhile
	replaceKills  = 5                // replacements in a row killed from outside after which a reload is given up
)
