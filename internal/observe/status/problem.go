package status

import (
	"fmt"
	"slices"
	"time"

	"phalanx/internal/human"
)

// The severities of a problem.
const (
	Error   = "error"   // clients are affected, or soon will be; an operator has to act
	Warning = "warning" // something has gone wrong, or will
)

// Problem is something that an operator should know first.
type Problem struct {
	Severity string `json:"severity"`
	Text     string `json:"text"` // one line
}

// Problems returns what is wrong with a pool, the worst first; empty, never nil, if
// nothing is.
func Problems(p *Pool) []Problem {
	all := []Problem{}
	say := func(severity, format string, args ...any) {
		all = append(all, Problem{severity, fmt.Sprintf(format, args...)})
	}
	serving := slices.ContainsFunc(p.Workers, func(w Worker) bool { return w.State == WorkerServing })
	if p.State == Serving && !serving {
		say(Error, "no worker is serving")
	}
	for _, w := range p.Workers {
		w.problems(say)
	}
	if slices.ContainsFunc(p.Workers, func(w Worker) bool { return w.Stale > 0 }) {
		say(Warning, "the new release cannot be served, and the previous one stays in service; see the log")
	}
	if p.Failed != "" {
		say(Warning, "%s", p.Failed)
	}
	for _, fault := range p.Faults {
		say(Warning, "%s", fault)
	}
	for _, c := range p.Certificates {
		switch left := c.Left(p.Time); {
		case left <= 0:
			say(Error, "the certificate of %s has expired; renew it", human.Quoted(c.Name()))
		case c.Expiring:
			say(Warning, "the certificate of %s expires in %s; renew it", human.Quoted(c.Name()), human.Age(left))
		}
	}
	if p.ACME != nil {
		for _, h := range p.ACME.Hosts {
			h.problems(p.Time, say)
		}
	}
	p.losses(say)
	slices.SortStableFunc(all, func(a, b Problem) int { return rank(a) - rank(b) })
	return all
}

func rank(p Problem) int { return slices.Index([]string{Error, Warning}, p.Severity) }

func (w *Worker) problems(say func(severity, format string, args ...any)) {
	switch w.State {
	case WorkerQuarantined:
		say(Error, "slot %d is quarantined after %s; fix the cause, then reload", w.Slot, human.Plural(w.Deaths, "death", "deaths"))
	case WorkerBackoff:
		say(Warning, "slot %d has no worker after %s; the next one starts soon", w.Slot, human.Plural(w.Deaths, "death", "deaths"))
	case WorkerKilled:
		if w.Killed > 5 { // otherwise it is about to exit
			say(Error, "worker %d (pid %d) was killed and has not exited; check the disk that it waits for", w.Slot, w.PID)
		}
	}
	if w.QueueMax > 0 && w.Queue >= w.QueueMax/2 && w.Queue > 0 {
		say(Warning, "the accept queue of slot %d holds %s of %s connections", w.Slot, human.Count(w.Queue), human.Count(w.QueueMax))
	}
}

func (h *Host) problems(now time.Time, say func(severity, format string, args ...any)) {
	switch {
	case h.Problem == "" && !h.Certified && h.Next.Sub(now) > time.Minute: // it was put off before a restart
		say(Error, "no certificate for %s; next attempt in %s", human.Quoted(h.Name), human.Age(h.Next.Sub(now).Seconds()))
	case h.Problem == "":
	case h.Certified:
		say(Warning, "%s; next attempt in %s", h.Problem, human.Age(h.Next.Sub(now).Seconds()))
	default:
		say(Error, "%s; next attempt in %s", h.Problem, human.Age(h.Next.Sub(now).Seconds()))
	}
}

// losses reports responses, connections and log lines lost since the start.
func (p *Pool) losses(say func(severity, format string, args ...any)) {
	count := func(n uint64, one, many, rest string) {
		if n > 0 {
			say(Warning, "%s %s", human.Plural(n, one, many), rest)
		}
	}
	count(p.Total.Dropped, "connection", "connections", "dropped for lack of descriptors or memory; raise the limit of open files")
	count(p.Total.Requests["5xx"], "response", "responses", "with a status of 500 or more since the start")
	count(uint64(p.Deaths), "worker", "workers", "died since the start; the log says why")
	count(p.Rescue.Closed(), "connection", "connections", "of dead workers could not be rescued")
	count(p.Rescue.GivenUp, "dead worker", "dead workers", "whose connections could not be rescued")
	count(p.Total.LogLost, "access log line", "access log lines", "lost; its disk was full or slow, or its reader was slow")
}
