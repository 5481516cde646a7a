package accesslog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func newRing(t testing.TB, size int) (*Ring, []byte) {
	t.Helper()
	mem := make([]byte, size)
	r, err := NewRing(mem)
	if err != nil {
		t.Fatal(err)
	}
	return r, mem
}

// take reads and consumes everything.
func take(r *Ring) string {
	a, b := r.Readable()
	s := string(a) + string(b)
	r.Consume(len(s))
	return s
}

func TestRingMemory(t *testing.T) {
	tests := []struct {
		from, to int
		ok       bool
	}{
		{0, MinRing, true},
		{0, MinRing + 8, true},
		{0, 512 << 10, true},
		{0, 0, false},
		{0, MinRing - 8, false},
		{0, MinRing + 4, false},
		{4, MinRing + 8 + 4, false},
	}
	mem := make([]byte, 512<<10)
	for _, tt := range tests {
		if _, err := NewRing(mem[tt.from:tt.to]); (err == nil) != tt.ok {
			t.Errorf("bytes %d to %d: %v", tt.from, tt.to, err)
		}
	}
}

// Lines of any length are read as they were written, also across the end of the buffer.
func TestRingKeepsLines(t *testing.T) {
	for _, size := range []int{MinRing, MinRing + 8, MinRing + 104} {
		r, _ := newRing(t, size)
		for i := range 10_000 {
			line := strings.Repeat(string(rune('a'+i%26)), i*37%1500) + "\n"
			if !r.Write([]byte(line)) {
				t.Fatalf("size %d: line %d has no room in an empty ring", size, i)
			}
			if r.Waiting() != len(line) {
				t.Fatalf("%d bytes wait, want %d", r.Waiting(), len(line))
			}
			if got := take(r); got != line {
				t.Fatalf("size %d: line %d of %d bytes is read as %d bytes", size, i, len(line), len(got))
			}
		}
		if r.lost.Load() != 0 || r.Waiting() != 0 {
			t.Errorf("%d lines lost, %d bytes wait", r.lost.Load(), r.Waiting())
		}
	}
}

func TestRingFull(t *testing.T) {
	r, _ := newRing(t, MinRing)
	room := MinRing - ringData - 1
	tests := []struct {
		length int
		ok     bool
	}{
		{room + 1, false},
		{room - 100, true},
		{101, false},
		{100, true},
		{1, false},
		{0, true},
	}
	for _, tt := range tests {
		if ok := r.Write(make([]byte, tt.length)); ok != tt.ok {
			t.Errorf("line of %d bytes: %v", tt.length, ok)
		}
	}
	if r.lost.Load() != 3 || r.Waiting() != room {
		t.Errorf("%d lines lost, %d bytes wait", r.lost.Load(), r.Waiting())
	}
	if n := len(take(r)); n != room || !r.Write([]byte("x\n")) {
		t.Errorf("no room after %d bytes were read", n)
	}
}

// A new writer or reader continues with what is in the memory.
func TestRingOutlivesItsUsers(t *testing.T) {
	r, mem := newRing(t, MinRing)
	r.Write([]byte("one\n"))
	r, _ = NewRing(mem)
	r.Write([]byte("two\n"))
	r.Write(make([]byte, MinRing))
	r, _ = NewRing(mem)
	if got := take(r); got != "one\ntwo\n" || r.lost.Load() != 1 || r.newlyLost() != 1 {
		t.Errorf("%q, %d lines lost", got, r.lost.Load())
	}
	r, _ = NewRing(mem)
	if r.newlyLost() != 0 {
		t.Error("a lost line is reported twice")
	}
}

func TestRingTorn(t *testing.T) {
	r, _ := newRing(t, MinRing)
	if r.torn() {
		t.Error("a fresh ring is torn")
	}
	r.Write([]byte("one\n"))
	r.Consume(2)
	// A full ring is recognised as torn too.
	r.Write(make([]byte, MinRing-ringData-1-2))
	if !r.torn() || r.Waiting() != MinRing-ringData-1 {
		t.Errorf("torn: %v, %d bytes wait", r.torn(), r.Waiting())
	}
	r.Consume(2)
	if r.torn() {
		t.Error("torn after the end of a line")
	}
}

func TestRingDue(t *testing.T) {
	r, _ := newRing(t, MinRing)
	line := make([]byte, r.quarter()/2)
	write := func(want bool) {
		t.Helper()
		r.Write(line)
		if got := r.Due(); got != want {
			t.Errorf("due is %[2]v with %[1]d bytes", r.Waiting(), got)
		}
	}
	r.ringAt(1)
	write(true)
	write(false)
	r.ringAt(r.quarter())
	take(r)
	write(false)
	write(true)
	write(false)
	r.ringAt(r.quarter())
	write(true) // one filling, but it was asked for again
	take(r)
	write(false)
}

// header sets a header as a hostile worker may leave it.
func header(mem []byte, head, tail, lost, told, bell uint64) {
	for at, v := range map[int]uint64{headAt: head, tailAt: tail, lostAt: lost, toldAt: told, bellAt: bell} {
		binary.NativeEndian.PutUint64(mem[at:], v)
	}
}

func FuzzRingHeader(f *testing.F) {
	f.Add(uint64(0), uint64(0), uint64(0), uint64(0), uint64(0))
	f.Add(uint64(10), uint64(20), uint64(1), uint64(2), uint64(3))
	f.Add(^uint64(0), ^uint64(0)-5, ^uint64(0), uint64(0), ^uint64(0))
	f.Add(uint64(maxPosition), uint64(maxPosition-1), uint64(7), uint64(0), uint64(1))
	f.Add(uint64(maxPosition-1), uint64(maxPosition-1), uint64(7), uint64(0), uint64(1))
	f.Add(uint64(maxPosition-2), uint64(maxPosition-2), uint64(0), uint64(0), uint64(1))
	f.Add(uint64(1<<40), uint64(1<<40-100_000), uint64(1<<50), uint64(0), uint64(1))
	f.Fuzz(func(t *testing.T, head, tail, lost, told, bell uint64) {
		mem := make([]byte, MinRing)
		header(mem, head, tail, lost, told, bell)
		r, err := NewRing(mem)
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Waiting(); n < 0 || n >= MinRing {
			t.Fatalf("%d bytes wait", n)
		}
		line := []byte("line\n")
		r.Write(line)
		r.Due()
		r.torn()
		if n := r.newlyLost(); n > maxTold {
			t.Fatalf("%d lines are reported as lost", n)
		}
		// After the first read the header is valid again.
		take(r)
		if a, b := r.Readable(); len(a)+len(b) != 0 {
			t.Fatalf("%d bytes can be read again", len(a)+len(b))
		}
		// A valid head may be so large that the next line makes it invalid, once.
		for i := range 2 {
			if r.Write(line) && take(r) == string(line) {
				return
			}
			if i > 0 {
				t.Fatal("the ring takes no more lines")
			}
		}
	})
}

// One goroutine writes and one reads: the reader sees only complete lines, in order.
func TestRingConcurrently(t *testing.T) {
	const n = 200_000
	r, _ := newRing(t, MinRing+8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var line []byte
		for i := 0; i < n; {
			line = fmt.Appendf(line[:0], "%d %s\n", i, strings.Repeat("x", i%200))
			if r.Waiting()+len(line) > MinRing-ringData {
				runtime.Gosched()
				continue
			}
			if r.Write(line) {
				i++
			}
		}
	}()
	var got []byte
	for next := 0; next < n; {
		a, b := r.Readable()
		if len(a) == 0 {
			runtime.Gosched()
			continue
		}
		got = append(append(got[:0], a...), b...)
		r.Consume(len(got))
		for line := range bytes.Lines(got) {
			if want := fmt.Sprintf("%d %s\n", next, strings.Repeat("x", next%200)); string(line) != want {
				t.Fatalf("line %d is %q", next, line)
			}
			next++
		}
	}
	<-done
}

func TestRingWriteAllocatesNothing(t *testing.T) {
	r, _ := newRing(t, 512<<10)
	line := bytes.Repeat([]byte("x"), 200)
	if n := testing.AllocsPerRun(10_000, func() { r.Write(line); r.Due() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRingWrite(b *testing.B) {
	r, _ := newRing(b, 512<<10)
	line := bytes.Repeat([]byte("x"), 200)
	for b.Loop() {
		r.Write(line)
		if r.Due() || r.Waiting() > 400_000 {
			r.Consume(r.Waiting())
		}
	}
}
