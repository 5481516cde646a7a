package eventloop

import (
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
)

// This file has the periodic tasks of an event loop.

// tick calls serve.Config.Tick every tickEvery while that returns true, and again after
// activity.
func (l *Loop) tick(active bool) {
	switch {
	case l.cfg.Tick == nil:
	case l.tickAt == 0 && active:
		l.tickAt = l.now.Mono + tickEvery
	case l.tickAt != 0 && l.now.Mono >= l.tickAt:
		if l.tickAt = 0; l.cfg.Tick() {
			l.tickAt = l.now.Mono + tickEvery
		}
	}
}

// beat sends the heartbeat.
func (l *Loop) beat() {
	if l.cfg.Beat != nil && l.now.Mono >= l.beatAt {
		l.beatAt = l.now.Mono + l.cfg.BeatEvery
		l.cfg.Beat()
		l.cfg.Row.Beat.Store(l.clock.Boot(l.now.Mono))
	}
}

// surveySoon is the delay between activity and the next survey of the connections, unless
// the last survey was less than serve.SurveyEvery ago: status and top show a single
// connection at once, and a busy loop surveys rarely.
const surveySoon = 50 * time.Millisecond

// surveyLater plans a survey of the connections after activity, or makes one that is due.
func (l *Loop) surveyLater(active bool) {
	l.dropped = false
	switch {
	case l.surveyAt == 0 && active:
		l.surveyAt = max(l.now.Mono+surveySoon, l.surveyed+serve.SurveyEvery)
	case l.surveyAt != 0 && l.now.Mono >= l.surveyAt:
		l.surveyAt, l.surveyed = 0, l.now.Mono
		l.survey()
	}
}

func (l *Loop) survey() {
	var v serve.Survey
	for _, p := range l.peers {
		if p != nil {
			view := p.view()
			v.See(view)
			l.tidy(p)
			if p.tls != nil && view.State == conn.Idle {
				l.shrink(p, view.Since)
			}
		}
	}
	l.collect()
	v.Publish(l.cfg.Row, &l.clock)
}

// view returns what a peer is doing. A TLS handshake or a PROXY header counts as the
// beginning of a request, once its first byte has been received.
func (p *peer) view() conn.View {
	v := p.http().View()
	if (p.handshaking() && !p.tls.Silent() || len(p.begun()) > 0) && v.State == conn.Idle {
		v.State = conn.Receiving
	}
	return v
}

// seen lists all connections.
func (l *Loop) seen() []serve.Seen {
	all := make([]serve.Seen, 0, l.open)
	for _, p := range l.peers {
		if p != nil {
			all = append(all, serve.See(int(p.fd), p.http1.Client(), p.view(), l.now.Mono))
		}
	}
	return all
}

// flush writes the log.
func (l *Loop) flush() {
	if l.cfg.Flush == nil {
		return
	}
	l.flushAt = 0
	if retry := l.cfg.Flush(); retry > 0 {
		l.flushAt = l.now.Mono + retry
	}
}

// report reports the progress of the drain.
func (l *Loop) report() {
	if l.reportAt == 0 || l.now.Mono < l.reportAt {
		return
	}
	l.reportAt = l.now.Mono + serve.ReportEvery
	var left int64
	for _, p := range l.peers {
		if p != nil {
			left += p.http().Left() + int64(len(p.unsent))
		}
	}
	l.cfg.Report(l.open, left)
}
