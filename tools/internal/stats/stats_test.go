package stats

import (
	"math"
	"testing"
)

func TestQuantile(t *testing.T) {
	values := []float64{9, 1, 3, 7, 5}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.25, 3}, {0.5, 5}, {0.9, 8.2}, {1, 9}} {
		if got := Quantile(values, c.q); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("quantile %v = %v, want %v", c.q, got, c.want)
		}
	}
	if values[0] != 9 {
		t.Error("the argument was sorted")
	}
	if got := Median([]float64{1, 2}); got != 1.5 {
		t.Errorf("median of two = %v", got)
	}
}

func TestOf(t *testing.T) {
	if got, want := Of([]float64{3, 1, 2}), (Spread{1, 2, 3}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		name         string
		values       []float64
		jain, uneven float64
	}{
		{"equal", []float64{4, 4, 4, 4}, 1, 1},
		{"one has all", []float64{8, 0, 0, 0}, 0.25, 4},
		{"alone", []float64{7}, 1, 1},
	} {
		if j, u := Jain(c.values), Uneven(c.values); j != c.jain || u != c.uneven {
			t.Errorf("%s: Jain %v, uneven %v, want %v and %v", c.name, j, u, c.jain, c.uneven)
		}
	}
}

func TestNothing(t *testing.T) {
	for name, got := range map[string]float64{
		"median": Median(nil), "spread": Of(nil).Mid, "Jain": Jain([]float64{0, 0}), "uneven": Uneven(nil),
	} {
		if !math.IsNaN(got) {
			t.Errorf("%s without values = %v", name, got)
		}
	}
}
