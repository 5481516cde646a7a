package eventloop

import (
	"runtime"
	"time"

	"phalanx/internal/serve"
)

// This file frees the memory that idle TLS connections do not need.

const (
	// shrinkAfter is how long a connection must have been idle before the memory of its
	// ciphers is freed.
	shrinkAfter = 3 * time.Second
	// collectAfter is the number of shrunk connections, each of which had 2 KiB of ciphers,
	// after which the loop asks for a garbage collection: in an idle process the runtime
	// collects every two minutes only.
	collectAfter = 256
)

// shrink frees the ciphers of a peer that has been idle since a time, if that is long enough
// ago. Otherwise it plans another survey.
func (l *Loop) shrink(p *peer, since time.Duration) {
	if l.now.Mono-since >= shrinkAfter {
		if p.tls.Shrink() {
			l.tls.shrunk++
		}
	} else if l.surveyAt == 0 {
		l.surveyAt = l.now.Mono + serve.SurveyEvery
	}
}

// collect runs a garbage collection in a goroutine of its own, if many ciphers were freed.
func (l *Loop) collect() {
	if l.tls != nil && l.tls.shrunk >= collectAfter {
		l.tls.shrunk = 0
		l.collecting.Go(runtime.GC)
	}
}
