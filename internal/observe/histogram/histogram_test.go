package histogram

import (
	"slices"
	"testing"
	"time"
)

// Every duration is in the bucket between whose bounds it is, and every bound of the
// exported series is a bound of a bucket.
func TestIndex(t *testing.T) {
	for i := range Buckets {
		low, high := Lower(i), Lower(i+1)
		if Index(low) != i || Index(high-1) != i {
			t.Errorf("bucket %d is [%v, %v), but they are in %d and %d", i, low, high, Index(low), Index(high-1))
		}
		if high-low > low/4 {
			t.Errorf("bucket %d, [%v, %v), is too wide", i, low, high)
		}
	}
	for d, want := range map[time.Duration]int{-1: 0, 0: 0, 999: 0, time.Microsecond: 0, 1000 * time.Second: Buckets - 1, 1<<63 - 1: Buckets - 1} {
		if got := Index(d); got != want {
			t.Errorf("%v is in %d, want %d", d, got, want)
		}
	}
	var bounds []time.Duration
	for i := range Buckets {
		bounds = append(bounds, Lower(i))
	}
	for unit := time.Microsecond; unit < 1000*time.Second; unit *= 10 {
		for _, d := range []time.Duration{unit, unit * 5 / 2, unit * 5} {
			if !slices.Contains(bounds, d) {
				t.Errorf("%v is not a bound", d)
			}
		}
	}
}

func TestQuantile(t *testing.T) {
	var c Counts
	if c.Quantile(0.5) != 0 || c.Total() != 0 {
		t.Error("an empty histogram has a median")
	}
	for i := range 1000 {
		c[Index(time.Duration(i+1)*time.Millisecond)]++
	}
	for q, want := range map[float64]time.Duration{0: time.Millisecond, 0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := c.Quantile(q); got < want*9/10 || got > want*13/10 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	if got := c.Below(100 * time.Millisecond); got != 99 {
		t.Errorf("%d are below 100 ms, want 99", got)
	}
	twice := c
	for i := range twice {
		twice[i] *= 2
	}
	if got := twice.Since(&c); got != c {
		t.Error("twice the histogram minus once is not the histogram")
	}
	if got := c.Since(&twice); got.Total() != 0 {
		t.Error("subtracted values are counted")
	}
}

func BenchmarkIndex(b *testing.B) {
	n := 0
	for b.Loop() {
		n += Index(37 * time.Microsecond)
	}
	_ = n
}
