package e2e

import (
	"testing"
	"time"
)

// TestOutOfDescriptors gives every process 64 descriptors and opens 200
// connections: the server waits for better times, at rest.
func TestOutOfDescriptors(t *testing.T) {
	base := tree(t, map[string]string{"index.html": "front"})
	for _, model := range parallelModels() {
		t.Run(model, func(t *testing.T) {
			s := serveAs(t, plan{
				before: []string{"sh", "-c", `ulimit -n 64; exec "$0" "$@"`},
				args:   append(verbosely(base), "--model", model, "--workers", poolArgument(model)),
			})
			workers := s.workers()
			var crowd []*client
			for range 200 {
				c := s.dial()
				if err := c.send(request("GET", "/")); err != nil {
					t.Fatal(err)
				}
				crowd = append(crowd, c)
			}
			// Those who are not accepted wait in the queue.
			answers := map[int]int{}
			for _, c := range crowd {
				if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
					t.Fatal(err)
				}
				if r, err := c.reply("GET"); err == nil {
					answers[r.status]++
				}
			}
			if len(answers) != 1 || answers[200] < 20 || answers[200] == 200 {
				t.Errorf("200 connections to processes with 64 descriptors were answered %v; want 200 for all who are accepted", answers)
			}
			if used := usage(s.pid(), time.Second); used > 300*time.Millisecond {
				t.Errorf("without descriptors the server used %v of processor time in a second", used)
			}
			for _, c := range crowd {
				c.Close()
			}
			for range 10 {
				s.mustServe("/", "front")
			}
			if now := s.workers(); len(now) != len(workers) || now[0] != workers[0] {
				t.Errorf("workers %v became %v", workers, now)
			}
		})
	}
}

func poolArgument(model string) string {
	if model == "process" {
		return "2"
	}
	return "1"
}

// usage measures for how long a session computes within a time.
func usage(session int, during time.Duration) time.Duration {
	before := cpu(session)
	<-time.After(during)
	return cpu(session) - before
}

// TestRest measures a server that has clients and nothing to do.
func TestRest(t *testing.T) {
	base := tree(t, map[string]string{"index.html": "front"})
	for _, model := range parallelModels() {
		t.Run(model, func(t *testing.T) {
			s := serve(t, base, "--model", model)
			for range 100 {
				s.mustAsk(s.dial(), request("GET", "/"))
			}
			if used := usage(s.pid(), time.Second); used > 50*time.Millisecond {
				t.Errorf("100 idle connections cost %v in a second", used)
			}
		})
	}
}
