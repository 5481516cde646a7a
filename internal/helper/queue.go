package helper

import (
	"sync"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// queue has the jobs that wait, for each worker in the order in which they came; workers
// take turns.
type queue struct {
	most   int           // jobs; two thirds of them of one worker
	filled chan struct{} // receives when there is a job; one is as good as many

	mu    sync.Mutex // guards what follows
	of    map[int][]Job
	turns []int // workers that have jobs, the next first
	known map[key]bool
	n     int
}

// key is what makes two jobs the same: nothing can have changed between them.
type key struct {
	kind              ipc.JobKind
	dev, ino          uint64
	size              int64
	modified, changed unix.Timespec
}

func (j *Job) key() key {
	return key{j.Kind, uint64(j.Stat.Dev), j.Stat.Ino, j.Stat.Size, j.Stat.Mtim, j.Stat.Ctim}
}

func newQueue(most int) *queue {
	return &queue{most: most, filled: make(chan struct{}, 1), of: make(map[int][]Job), known: make(map[key]bool)}
}

// put adds a job, unless it waits already or there is no room.
func (q *queue) put(j Job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known[j.key()] || q.n >= q.most || len(q.of[j.from]) >= q.most*2/3 {
		return false
	}
	if len(q.of[j.from]) == 0 {
		q.turns = append(q.turns, j.from)
	}
	q.of[j.from] = append(q.of[j.from], j)
	q.known[j.key()] = true
	q.n++
	select {
	case q.filled <- struct{}{}:
	default:
	}
	return true
}

// take returns the next job.
func (q *queue) take() (j Job, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		return j, false
	}
	from := q.turns[0]
	j = q.of[from][0]
	q.turns = q.turns[1:]
	if q.of[from] = q.of[from][1:]; len(q.of[from]) > 0 {
		q.turns = append(q.turns, from)
	} else {
		delete(q.of, from)
	}
	delete(q.known, j.key())
	q.n--
	return j, true
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}

// close closes the files of jobs that nobody will do.
func (q *queue) close() {
	for {
		j, ok := q.take()
		if !ok {
			return
		}
		j.File.Close()
	}
}
