package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/systest"
)

// maxJobs is the limit of waiting jobs in tests.
const maxJobs = 30

// file opens a new regular file of the given size.
func file(t *testing.T, size int64) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Workers' jobs are processed in turn, each worker has a bounded number of jobs, and no job
// waits twice.
func TestQueue(t *testing.T) {
	q := newQueue(maxJobs)
	defer q.close()
	job := func(from int, ino uint64, kind ipc.JobKind) Job {
		return Job{Kind: kind, Stat: unix.Stat_t{Ino: ino}, from: from, File: file(t, 0)}
	}
	for i := range uint64(3) {
		if !q.put(job(1, i, ipc.JobGzip)) {
			t.Fatal("no room")
		}
	}
	if q.put(job(2, 1, ipc.JobGzip)) {
		t.Error("the same job waits twice")
	}
	if !q.put(job(2, 1, ipc.JobBrotli)) || !q.put(job(2, 9, ipc.JobGzip)) {
		t.Error("another job does not wait")
	}
	var order []string
	for j, ok := q.take(); ok; j, ok = q.take() {
		order = append(order, fmt.Sprint(j.from, ":", j.Stat.Ino))
		j.File.Close()
	}
	if got := strings.Join(order, " "); got != "1:0 2:1 1:1 2:9 1:2" {
		t.Errorf("order %s", got)
	}
	taken := 0
	for i := range uint64(2 * maxJobs) {
		if q.put(Job{Kind: ipc.JobGzip, Stat: unix.Stat_t{Ino: i}, from: 1}) {
			taken++
		}
	}
	for i := range uint64(2 * maxJobs) {
		if q.put(Job{Kind: ipc.JobZstd, Stat: unix.Stat_t{Ino: i}, from: 2}) {
			taken++
		}
	}
	if taken != maxJobs || len(q.of[1]) != maxJobs*2/3 {
		t.Errorf("%d jobs, %d of the first, want %d and %d", taken, len(q.of[1]), maxJobs, maxJobs*2/3)
	}
}

// inside is a helper in this process.
type inside struct {
	pid   int
	ended chan error
	kill  chan struct{}
	once  sync.Once
}

func (p *inside) PID() int    { return p.pid }
func (p *inside) Kill()       { p.once.Do(func() { close(p.kill) }) }
func (p *inside) Wait() error { return <-p.ended }

// starter starts helpers in this process that process jobs with a function.
type starter struct {
	mu      sync.Mutex
	started []*inside
	do      func(context.Context, Job) ipc.JobDone
	idle    time.Duration
	refuse  error
}

func (s *starter) start(theirs *os.File) (Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	fd, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	channel, err := ipc.Open(uintptr(fd))
	if err != nil {
		return nil, err
	}
	p := &inside{pid: 100 + len(s.started), ended: make(chan error, 1), kill: make(chan struct{})}
	s.started = append(s.started, p)
	worked := make(chan error, 1)
	go func() { worked <- Work(channel, maxJobs, s.idle, s.do) }()
	go func() {
		select {
		case err := <-worked:
			p.ended <- err
		case <-p.kill:
			channel.Close()
			<-worked
			p.ended <- errors.New("killed")
		}
	}()
	return p, nil
}

func (s *starter) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.started)
}

// lines collects a runner's log lines.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// A helper is started with the first job, counts its work, exits when there is none, and is
// started again.
func TestRunner(t *testing.T) {
	log := &lines{}
	given := make(chan struct{})
	s := &starter{idle: 500 * time.Millisecond, do: func(_ context.Context, j Job) ipc.JobDone {
		<-given
		return ipc.JobDone{Outcome: ipc.JobOutcome(j.Stat.Size % 4), After: 5, Kept: 7, Reason: map[bool]string{true: "write: disk full"}[j.Stat.Size%4 == 3]}
	}}
	r := NewRunner(Config{Start: s.start, Log: log.add})
	defer r.Suspend()
	if s.count() != 0 || r.Status().PID != 0 {
		t.Error("a helper runs without a job")
	}
	for size := range int64(4) {
		r.Give(9, ipc.Job{Kind: ipc.JobGzip}, file(t, 100+size))
	}
	close(given) // before that the helper does not exit
	systest.Await(t, "end of all jobs", func() bool { return r.Status().Failed == 1 })
	got := *r.Status()
	if got.Made != 1 || got.Useless != 1 || got.Before != 100 || got.After != 5 || got.Kept != 7 || got.Deaths+got.Dropped != 0 {
		t.Errorf("%+v", got)
	}
	if text := log.text(); text != "helper: write: disk full" {
		t.Errorf("log %q", text)
	}
	systest.Await(t, "idle exit", func() bool { return r.Status().PID == 0 })
	r.Give(9, ipc.Job{Kind: ipc.JobGzip}, file(t, 0))
	systest.Await(t, "second helper", func() bool { return s.count() == 2 && r.Status().Made == 2 })
}

// A helper that is stuck in the kernel holds up neither an upgrade nor the end of the server.
func TestStuckHelper(t *testing.T) {
	p := &inside{pid: 100, ended: make(chan error, 1), kill: make(chan struct{})}
	r := NewRunner(Config{Start: func(*os.File) (Process, error) { return p, nil }, Log: func(string) {}})
	r.Give(1, ipc.Job{Kind: ipc.JobGzip}, file(t, 1))
	suspended := make(chan struct{})
	go func() {
		r.Suspend()
		close(suspended)
	}()
	<-p.kill
	systest.Await(t, "end of Suspend", func() bool {
		select {
		case <-suspended:
			return true
		default:
			return false
		}
	})
	p.ended <- errors.New("killed") // the disk responds again
	systest.Await(t, "end of the helper", func() bool { return r.Status().PID == 0 })
}

// Descriptors of other kinds of files are not used, and everything is closed in the end.
func TestSpecialFilesAreNotUsed(t *testing.T) {
	done := make(chan Job, 10)
	s := &starter{idle: time.Minute, do: func(_ context.Context, j Job) ipc.JobDone { done <- j; return ipc.JobDone{} }}
	r := NewRunner(Config{Start: s.start, Log: func(string) {}})
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r.Give(1, ipc.Job{Kind: ipc.JobZstd}, pipe)
	r.Give(1, ipc.Job{Kind: ipc.JobZstd}, dir)
	r.Give(1, ipc.Job{Kind: ipc.JobZstd, From: 4711}, file(t, 77))
	if j := <-done; j.Stat.Size != 77 || j.from != 1 || j.Kind != ipc.JobZstd {
		t.Errorf("%+v", j)
	}
	r.Suspend()
	r.Give(1, ipc.Job{Kind: ipc.JobZstd}, file(t, 78))
	r.Resume()
	r.Give(1, ipc.Job{Kind: ipc.JobZstd}, file(t, 79))
	if j := <-done; j.Stat.Size != 79 {
		t.Errorf("%+v", j)
	}
	r.Suspend()
	if got := r.Status(); got.Deaths != 0 || got.Dropped != 1 || got.PID != 0 {
		t.Errorf("%+v", got)
	}
}

// The delay grows as long as no helper can be started, also if the last one ended long ago.
func TestStartFails(t *testing.T) {
	now := time.Unix(1e9, 0)
	log := &lines{}
	s := &starter{refuse: os.ErrPermission}
	r := NewRunner(Config{Start: s.start, Log: log.add, Now: func() time.Time { return now }})
	for _, delay := range []string{"1s", "2s", "4s", "8s", "16s", "32s", "1m0s", "1m0s"} {
		r.Give(1, ipc.Job{Kind: ipc.JobGzip}, file(t, 1))
		want := "helper not started: permission denied; next start in " + delay + " at the earliest"
		if text := log.text(); !strings.HasSuffix(text, want) {
			t.Errorf("log %q, want %q at its end", text, want)
		}
		now = now.Add(maxBackoff)
	}
}

// A helper that died or could not be started is not started again at once.
func TestDeadHelperIsNotRestartedAtOnce(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1e9, 0)
	log := &lines{}
	s := &starter{idle: time.Minute, do: func(ctx context.Context, _ Job) ipc.JobDone { <-ctx.Done(); return ipc.JobDone{} }}
	r := NewRunner(Config{Start: s.start, Log: log.add, Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	defer r.Suspend()
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	give := func() { r.Give(1, ipc.Job{Kind: ipc.JobGzip}, file(t, 1)) }
	give()
	s.started[0].Kill()
	systest.Await(t, "death", func() bool { return r.Status().Deaths == 1 })
	give()
	pass(minBackoff)
	s.mu.Lock()
	s.refuse = os.ErrPermission
	s.mu.Unlock()
	give()
	pass(2 * minBackoff)
	s.mu.Lock()
	s.refuse = nil
	s.mu.Unlock()
	give()
	if s.count() != 2 || r.Status().Dropped != 2 {
		t.Errorf("%d started, %+v", s.count(), r.Status())
	}
	want := "helper (pid 100) died: killed; next start in 1s at the earliest\nhelper not started: permission denied; next start in 2s at the earliest"
	if text := log.text(); text != want {
		t.Errorf("log %q\nwant %q", text, want)
	}
}

// pair returns both ends of a channel, the helper's opened as its process does.
func pair(t *testing.T) (channel, end *ipc.Channel) {
	t.Helper()
	channel, theirs, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	fd, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if end, err = ipc.Open(uintptr(fd)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { channel.Close(); end.Close() })
	return channel, end
}

// A master that has no time to read for a while receives the result of every job.
func TestMasterIsBusy(t *testing.T) {
	channel, end := pair(t)
	room := 0
	for full, _ := pair(t); full.Send(ipc.JobDone{}) == nil; room++ {
	}
	var did atomic.Int64
	go Work(end, maxJobs, time.Minute, func(context.Context, Job) ipc.JobDone { did.Add(1); return ipc.JobDone{} })
	jobs := room + 20
	for i := range jobs {
		f := file(t, 0)
		if err := channel.SendFile(ipc.Job{Kind: ipc.JobGzip, From: i}, int(f.Fd())); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if i < room {
			systest.Await(t, "the job", func() bool { return did.Load() > int64(i) })
		}
	}
	for i := range jobs {
		if err := channel.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := channel.Receive(); err != nil {
			t.Fatalf("%d results of %d: %v", i, jobs, err)
		}
	}
}

// A helper whose master has died leaves nothing open.
func TestMasterGone(t *testing.T) {
	before := descriptors(t)
	channel, end := pair(t)
	begun, ended := make(chan struct{}, 9), make(chan error)
	go func() {
		ended <- Work(end, maxJobs, time.Minute, func(ctx context.Context, _ Job) ipc.JobDone { begun <- struct{}{}; <-ctx.Done(); return ipc.JobDone{} })
	}()
	for i := range int64(3) {
		f := file(t, i)
		if err := channel.SendFile(ipc.Job{Kind: ipc.JobGzip}, int(f.Fd())); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	<-begun
	channel.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if after := descriptors(t); len(after) > len(before) {
		t.Errorf("open before %q, after %q", before, after)
	}
}

func descriptors(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}
