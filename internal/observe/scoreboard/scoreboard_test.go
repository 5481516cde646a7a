package scoreboard

import (
	"bytes"
	"encoding/json"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/observe/histogram"
)

func newBoard(t *testing.T) *Board {
	t.Helper()
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// worker opens a row as the master does and maps it again as its worker does.
func worker(t *testing.T, b *Board, slot int) (row int, mapped *Mapping) {
	t.Helper()
	row, _, err := b.Open(slot)
	if err != nil {
		t.Fatal(err)
	}
	mapped, err = Attach(b.Descriptor(), row)
	if err != nil {
		t.Fatal(err)
	}
	return row, mapped
}

// The master sees a worker's counters at once. They are kept in the totals when the worker has
// exited, and the next worker in the row begins at zero.
func TestCounters(t *testing.T) {
	b := newBoard(t)
	row, w := worker(t, b, 3)
	w.Requests[2].Add(5)
	w.Requests[4].Add(1)
	w.Bytes.Add(1000)
	w.Took(3 * time.Millisecond)
	w.Last.Set([]byte("GET /a"), 7)
	w.Ring[0], w.Ring[RingSize-1] = 1, 2
	check := func(slot int, answered, sent uint64) {
		t.Helper()
		got := b.Read().Slots[slot]
		if got == nil || got.Answered() != answered || got.Bytes != sent || got.Latency.Total() != 1 || got.LatencyNanos != 3e6 {
			t.Fatalf("slot %d has %+v, want %d requests and %d bytes", slot, got, answered, sent)
		}
	}
	check(3, 6, 1000)
	if s, ok := b.Look(row); !ok || string(s.Last) != "GET /a" || s.Oldest != nil {
		t.Errorf("the row has %+v, %v", s, ok)
	}
	if err := b.Close(row); err != nil {
		t.Fatal(err)
	}
	check(3, 6, 1000)
	if got := b.Read(); len(got.Rows) != 0 {
		t.Errorf("rows %v", got.Rows)
	}
	if _, ok := b.Look(row); ok {
		t.Error("the row of a process that has exited is listed")
	}
	if err := b.Close(row); err == nil {
		t.Error("a row is closed twice")
	}
	again, next := worker(t, b, 3)
	if again != row {
		t.Errorf("row %d, want %d again", again, row)
	}
	if next.Answered() != 0 || next.Ring[0] != 0 || next.Ring[RingSize-1] != 0 {
		t.Error("the row is not empty")
	}
	if text, _ := next.Last.Get(); text != nil {
		t.Errorf("the row has the text %q", text)
	}
	check(3, 6, 1000)
	w.Requests[2].Add(1) // a process that is not quite gone cannot crash anybody
}

// Totals has only counters, as Add assumes.
func TestTotals(t *testing.T) {
	for field := range reflect.TypeFor[Totals]().Fields() {
		kind := field.Type
		if kind.Kind() == reflect.Array {
			kind = kind.Elem()
		}
		if kind.Kind() != reflect.Uint64 {
			t.Errorf("%s is a %v", field.Name, field.Type)
		}
	}
	var sum Totals
	one := Totals{Truncated: 1, Limited: [NumLimits]uint64{2}, LatencyNanos: 3, Latency: histogram.Counts{histogram.Buckets - 1: 4}}
	sum.Add(&one)
	sum.Add(&one)
	if want := (Totals{Truncated: 2, Limited: [NumLimits]uint64{4}, LatencyNanos: 6, Latency: histogram.Counts{histogram.Buckets - 1: 8}}); sum != want {
		t.Errorf("%+v", sum)
	}
}

// While workers count, exit and are replaced, a reader never sees a sum decrease.
func TestNeverBack(t *testing.T) {
	b := newBoard(t)
	const rounds, requests = 200, 50
	var work sync.WaitGroup
	for slot := range 3 {
		work.Go(func() {
			for range rounds {
				row, w, err := b.Open(slot)
				if err != nil {
					t.Error(err)
					return
				}
				for range requests {
					w.Requests[2].Add(1)
				}
				if err := b.Close(row); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	last := map[int]uint64{}
	for going := true; going; {
		select {
		case <-done:
			going = false
		default:
		}
		for slot, totals := range b.Read().Slots {
			if n := totals.Answered(); n < last[slot] {
				t.Fatalf("slot %d decreased from %d to %d", slot, last[slot], n)
			} else {
				last[slot] = n
			}
		}
	}
	for slot, n := range last {
		if n != rounds*requests {
			t.Errorf("slot %d has %d, want %d", slot, n, rounds*requests)
		}
	}
}

// TestResumeFreeRows continues with a scoreboard whose last rows are free: they are still in
// the memfd, with old values.
func TestResumeFreeRows(t *testing.T) {
	b := newBoard(t)
	worker(t, b, 0)
	for range 2 {
		_, w := worker(t, b, 1)
		w.Requests[2].Add(7)
	}
	for row := 1; row <= 2; row++ {
		if err := b.Close(row); err != nil {
			t.Fatal(err)
		}
	}
	next, err := Resume(b.State())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		row, mapped, err := next.Open(1)
		if err != nil {
			t.Fatal(err)
		}
		if row == 0 || mapped.Answered() != 0 {
			t.Errorf("row %d has %d", row, mapped.Answered())
		}
	}
}

// A scoreboard survives an exec: rows, their owners and the totals.
func TestResume(t *testing.T) {
	b := newBoard(t)
	gone, w := worker(t, b, 0)
	w.Requests[2].Add(10)
	kept, w := worker(t, b, 1)
	w.Requests[2].Add(20)
	if err := b.Close(gone); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(b.State())
	if err != nil {
		t.Fatal(err)
	}
	for _, layout := range []int{Layout, Layout + 1} {
		var s State
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		if s.Fd, err = unix.Dup(b.Descriptor()); err != nil {
			t.Fatal(err)
		}
		s.Layout = layout
		next, err := Resume(s)
		if err != nil {
			t.Fatal(err)
		}
		got := next.Read()
		if got.Slots[0].Answered() != 10 || got.Slots[1].Answered() != 20 {
			t.Errorf("layout %d: slots have %d and %d", layout, got.Slots[0].Answered(), got.Slots[1].Answered())
		}
		if layout != Layout {
			if len(got.Rows) != 0 {
				t.Errorf("rows of another layout are read: %v", got.Rows)
			}
			continue
		}
		w.Requests[2].Add(1) // the worker continues meanwhile
		if n := next.Read().Slots[1].Answered(); n != 21 {
			t.Errorf("the row in use has %d", n)
		}
		if row, _, err := next.Open(2); err != nil || row != gone {
			t.Errorf("the next row is %d, %v; want %d", row, err, gone)
		}
		if err := next.Close(kept); err != nil {
			t.Error(err)
		}
	}
}

// A text that is being written is never read in part, and a reader does not wait for one whose
// writer has died.
func TestNote(t *testing.T) {
	var n Note
	texts := [][]byte{bytes.Repeat([]byte("a"), 100), bytes.Repeat([]byte("b"), 2*noteSize)}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i, text := range texts {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					n.Set(text, int64(i))
					runtime.Gosched()
				}
			}
		})
	}
	read := 0
	for began := time.Now(); read < 5000 && time.Since(began) < time.Minute; {
		text, at := n.Get()
		if text == nil {
			continue
		}
		read++
		if want := texts[at][:min(len(texts[at]), noteSize)]; !bytes.Equal(text, want) {
			t.Fatalf("read %q of %d", text, at)
		}
	}
	close(stop)
	writers.Wait()
	if read < 5000 {
		t.Errorf("%d texts could be read", read)
	}
	n.sequence.Store(7)
	if text, _ := n.Get(); text != nil {
		t.Errorf("a part of a text is read: %q", text)
	}
}

func TestAttachNothing(t *testing.T) {
	for _, row := range []int{-1, maxRows} {
		if _, err := Attach(0, row); err == nil {
			t.Errorf("row %d is there", row)
		}
	}
	if _, err := Attach(-1, 0); err == nil {
		t.Error("a missing scoreboard can be mapped")
	}
}

func BenchmarkRequest(b *testing.B) {
	var r Row
	line := []byte("GET /assets/app.0a1b2c3d.js")
	b.ReportAllocs()
	for b.Loop() {
		r.Last.Set(line, 1)
		r.Busy.Store(true)
		r.Requests[2].Add(1)
		r.Bytes.Add(4096)
		r.Took(20 * time.Microsecond)
		r.Busy.Store(false)
	}
}
