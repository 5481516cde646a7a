package report

import (
	"math"
	"testing"
)

func TestDigits(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{{0, "0"}, {0.0123, "0.012"}, {1.234, "1.23"}, {12.34, "12.3"}, {99.96, "100"}, {1234.5, "1,234"}, {math.NaN(), "–"}} {
		if got := digits(c.v); got != c.want {
			t.Errorf("digits(%v) = %s, want %s", c.v, got, c.want)
		}
	}
	for _, c := range []struct {
		v    float64
		want string
	}{{0.0000123, "12.3 µs"}, {0.0123, "12.3 ms"}, {1.23, "1.23 s"}} {
		if got := span(c.v); got != c.want {
			t.Errorf("span(%v) = %s, want %s", c.v, got, c.want)
		}
	}
}

func TestAgainst(t *testing.T) {
	for _, c := range []struct {
		a, b float64
		want string
	}{
		{112, 100, "12 % more than"}, {80, 100, "20 % less than"}, {101, 100, "within 3 % of"},
		{250, 100, "2.50 times that of"}, {1, 0, "not comparable with"},
	} {
		if got := against(c.a, c.b, "more", "less"); got != c.want {
			t.Errorf("%v against %v: %s, want %s", c.a, c.b, got, c.want)
		}
	}
}
