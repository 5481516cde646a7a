package eventloop

import (
	"runtime"
	"time"

	"phalanx/internal/serve"
)

// This file frees the memory that idle TLS connections do not need.

const (
	// shrinkAfter is for how long a connection has to be idle before the memory of
	// its ciphers is freed.
	shrinkAfter = 3 * time.Second
	// collectAfter is after how many of those, each with 2 KiB of ciphers, the memory is
	// collected: while nothing happens, the runtime would do that every two minutes.
	collectAfter = 256
)

// shrink frees the ciphers of a peer that has been idle for a while. If it has not, there
// will be another survey.
func (l *Loop) shrink(p *peer, since time.Duration) {
	if l.now.Mono-since >= shrinkAfter {
		if p.tls.Shrink() {
			l.tls.shrunk++
		}
	} else if l.surveyAt == 0 {
		l.surveyAt = l.now.Mono + serve.SurveyEvery
	}
}

// collect collects the memory of many ciphers, beside the loop.
func (l *Loop) collect() {
	if l.tls != nil && l.tls.shrunk >= collectAfter {
		l.tls.shrunk = 0
		l.collecting.Go(runtime.GC)
	}
}
