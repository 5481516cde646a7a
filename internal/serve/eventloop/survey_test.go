package eventloop

import (
	"testing"
	"time"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
)

// A connection after a quiet second is surveyed soon, and those of a busy second together.
func TestSurveyIsSoon(t *testing.T) {
	l := &Loop{cfg: serve.Config{Row: new(scoreboard.Row)}}
	l.clock.Start(&l.cfg)
	at := func(now time.Duration, active bool, want time.Duration) {
		t.Helper()
		l.now.Mono = now
		if l.surveyLater(active); l.surveyAt != want {
			t.Errorf("at %v: the next survey is at %v, want %v", now, l.surveyAt, want)
		}
	}
	at(9*time.Second, true, 9*time.Second+surveySoon)
	at(9*time.Second+surveySoon, false, 0)
	at(9*time.Second+2*surveySoon, true, 10*time.Second+surveySoon)
	at(10*time.Second+surveySoon, true, 0)
	at(12*time.Second, true, 12*time.Second+surveySoon)
}
