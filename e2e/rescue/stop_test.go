package rescue

import (
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestKilledWhileStopping stops the server during downloads and kills their workers again and
// again: every download completes, and the server exits with status 0.
func TestKilledWhileStopping(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 32<<20)
	s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", base, "--workers", "2"}})
	var downloads []*harness.Download
	for range 8 {
		downloads = append(downloads, s.Begin("/big.bin", 64<<10))
	}
	s.Interrupt()
	s.AwaitRefusal()
	for range 6 {
		victim := 0
		harness.Await(t, harness.ClientTimeout, "a worker to kill", func() bool { // a worker without a download exits by itself
			now := s.Workers()
			if len(now) == 0 || syscall.Kill(now[0], syscall.SIGKILL) != nil {
				return false
			}
			victim = now[0]
			return true
		})
		harness.AwaitEnd(t, harness.ClientTimeout, victim)
		harness.Await(t, harness.ClientTimeout, "another worker", func() bool {
			now := s.Workers()
			return len(now) > 0 && len(harness.KeepersOf(s.PID())) == len(now)
		})
	}
	for _, d := range downloads {
		s.MustComplete(d)
	}
	s.MustExit(15 * time.Second)
}

// TestAcceptQueueWhileStopping kills a stopped (SIGSTOP) worker while the server stops, with clients in
// its accept queue: all are served.
func TestAcceptQueueWhileStopping(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--engine", "epoll"}, {"--engine", "netpoll"}, {"--model", "goroutine"}} {
		t.Run(args[1], func(t *testing.T) {
			t.Parallel()
			base := harness.Tree(t, map[string]string{"index.html": "front"})
			s := harness.Serve(t, base, append(args, "--workers", "1")...)
			victim := s.Workers()[0]
			harness.Suspend(t, victim)
			clients := s.DialAll(20, harness.Request("GET", "/"))
			s.Interrupt()
			s.AwaitMessages(1, "drain started")
			harness.Kill(t, victim, syscall.SIGKILL)
			s.MustReply(clients, "front")
			s.Wait(15 * time.Second)
		})
	}
}

// TestStopDuringRescue stops a server at several moments between a worker's death and the rescue
// of its download, which completes.
func TestStopDuringRescue(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, base+"/big.bin", 32<<20)
	for _, wait := range []time.Duration{0, 2 * time.Millisecond, 10 * time.Millisecond} {
		s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", base, "--workers", "1"}})
		d := s.Begin("/big.bin", 64<<10)
		victim := s.Workers()[0]
		harness.Kill(t, victim, syscall.SIGKILL)
		harness.AwaitEnd(t, harness.ClientTimeout, victim)
		<-time.After(wait) // lets the rescue get further
		s.Interrupt()
		s.MustComplete(d)
		s.MustExit(15 * time.Second)
	}
}

// TestKilledAtPointsWhileStopping kills workers at every marked point while the server stops
// during downloads.
func TestKilledAtPointsWhileStopping(t *testing.T) {
	deaths := map[string]int{}
	end := time.Now().Add(*killFor)
	for round := 0; round < 3 || time.Now().Before(end) || deaths["file"] == 0 && time.Now().Before(end.Add(time.Minute)); round++ {
		s := killed(t, 200, 20, "--workers", "2")
		c := newCrowd(t, s.Port, 0)
		var all []*client
		var wg sync.WaitGroup
		for i := range 12 {
			one := &client{crowd: c, kind: "download", rng: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i)))}
			all = append(all, one)
			wg.Go(func() {
				if err := errors.Join(one.connect(narrow), one.send(c.largeQuery()), one.begun()); err != nil {
					one.failed(err)
				}
			})
		}
		wg.Wait()
		s.Interrupt()
		for _, one := range all {
			wg.Go(func() {
				defer one.close()
				if one.conn == nil {
					return
				}
				if err := one.receive(c.largeQuery()); err != nil {
					one.failed(err)
				}
			})
		}
		wg.Wait()
		s.MustExit(harness.ClientTimeout)
		at, _ := points(t, s, "")
		for point, n := range at {
			deaths[point] += n
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%v", deaths)
	// The requests were read before the stop, so most workers are killed while they send a file.
	if deaths["file"] == 0 {
		t.Error("no worker was killed while a file was sent")
	}
}
