package snapshot

import (
	"encoding/json"
	"math/rand"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/observe/status"
	"phalanx/internal/supervise"
)

// Whatever a worker that has gone mad writes into its row, its pool can be looked at,
// and the line of its death be written.
func TestRowOfAnEnemy(t *testing.T) {
	o := newObserver(t)
	row, err := o.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	random := rand.New(rand.NewSource(1))
	junk := make([]byte, 64<<10)
	for i := range 300 {
		for at := range junk {
			junk[at] = []byte{0xff, 0x7f, 0x80, 0, byte(random.Int())}[min(i, 4)]
		}
		if _, err := unix.Pwrite(o.Board.Descriptor(), junk, int64(row)<<20); err != nil {
			t.Fatal(err)
		}
		reading := o.Board.Read()
		w := o.worker(supervise.WorkerView{Slot: 0, PID: os.Getpid(), Row: row}, reading, monotonic())
		s := sample{at: began.Add(time.Duration(i) * time.Second), total: *reading.Slots[0], workers: map[int]figures{w.PID: {Totals: *reading.Rows[row]}}}
		p := status.Pool{Workers: []status.Worker{w}, Total: counters(&s.total)}
		o.compare(&p, s)
		o.samples = []sample{s}
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
		if f := p.Total; f.Rate < 0 || f.Bandwidth < 0 || f.P50 < 0 || f.P99 < 0 {
			t.Fatalf("rate %v, bandwidth %v, latencies %v and %v", f.Rate, f.Bandwidth, f.P50, f.P99)
		}
		if n, line := o.Doing(row); n < 0 || len(line) > 2000 {
			t.Fatalf("%d connections, %d bytes: %.100q", n, len(line), line)
		}
	}
}
