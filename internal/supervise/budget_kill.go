//go:build killpoints

package supervise

// A test that kills workers all the time needs unlimited deaths.
const (
	longDelay     = firstDelay
	deathLimit    = 1 << 30
	rescueCrashes = 1 << 30
	rescueKills   = 1 << 30
	replaceKills  = 1 << 30
)
