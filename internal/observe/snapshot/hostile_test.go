package snapshot

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/observe/status"
	"phalanx/internal/supervise"
)

// FuzzRow checks that, whatever a compromised worker writes into its row, and then writes
// instead, snapshots of the pool can be taken and the line about its death can be written.
func FuzzRow(f *testing.F) {
	for _, b := range []byte{0xff, 0x7f, 0x80, 0, 1} {
		f.Add([]byte{b}, []byte{0}, uint16(0))
		f.Add([]byte{0}, []byte{b, 0}, uint16(8))
	}
	f.Add([]byte{2, 0, 0, 0, 5, 0, 0, 0}, []byte("GET /\x1b[2J"), uint16(700))
	f.Fuzz(func(t *testing.T, first, second []byte, at uint16) {
		if len(first) == 0 || len(second) == 0 {
			return
		}
		o := newObserver(t)
		defer unix.Close(o.Board.Descriptor())
		row, err := o.Open(0)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for i, content := range [][]byte{first, second} {
			junk := bytes.Repeat(content, 1+(8<<10)/len(content))
			if _, err := unix.Pwrite(o.Board.Descriptor(), junk, int64(row)<<20+int64(at)*int64(i)); err != nil {
				t.Fatal(err)
			}
			o.watch(t, row, began.Add(time.Duration(i)*time.Second))
		}
		if err := o.Close(row); err != nil {
			t.Error(err)
		}
	})
}

// watch takes a snapshot of a pool whose only worker has the row.
func (o *Observer) watch(t *testing.T, row int, at time.Time) {
	t.Helper()
	reading := o.Board.Read()
	w, _ := o.worker(supervise.WorkerView{Worker: status.Worker{PID: os.Getpid()}, Row: row}, read(o.proc, os.Getpid()), reading, at, monotonic())
	s := sample{at: at, total: *reading.Slots[0], workers: map[int]figures{w.PID: {Totals: *reading.Rows[row]}}}
	p := status.Pool{Workers: []status.Worker{w}, Total: figuresOf(&s.total, open{})}
	o.compare(&p, s)
	o.samples = []sample{s}
	status.Problems(&p)
	if _, err := json.Marshal(p); err != nil {
		t.Fatal(err)
	}
	if f := p.Total; f.Rate < 0 || f.Bandwidth < 0 || f.P50 < 0 || f.P99 < 0 {
		t.Fatalf("rate %v, bandwidth %v, latencies %v and %v", f.Rate, f.Bandwidth, f.P50, f.P99)
	}
	if n, line := o.Doing(row); n < 0 || len(line) > 2000 || strings.ContainsAny(line, "\x1b\n") {
		t.Fatalf("%d connections, %d bytes: %.100q", n, len(line), line)
	}
}
