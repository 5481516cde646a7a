package proto

import (
	"math"
	"testing"
	"time"
)

func TestTimeSet(t *testing.T) {
	for _, sec := range []int64{math.MinInt64, -1, 0, 1, 312768000, 315532800, 318211200, 499162500, 631151999, 946684800} {
		if !(Time{Sec: sec}).Set() {
			t.Errorf("9110-8.8.1: %d is taken for the time of a write", sec)
		}
	}
	for _, at := range []Time{{Sec: 631152000}, {Sec: exampleTime}, {946684800, 1}, {Sec: 946684801}, {Sec: maxDate}, {Sec: math.MaxInt64}} {
		if at.Set() {
			t.Errorf("9110-8.8.1: %v is taken for a time set by a tool", at)
		}
	}
}

func TestTime(t *testing.T) {
	ordered := []Time{
		{math.MinInt64, 0}, {-1 << 40, 0}, {-1, 500000000}, {0, 0}, {0, 1}, {1, 0}, {9223372036, 854775807}, {9223372036, 854775808},
		{9223372037, 0}, {maxDate, 0}, {1 << 40, 0}, {math.MaxInt64, 999999999},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if a.Before(b) != (i < j) {
				t.Errorf("%v before %v: %v", a, b, a.Before(b))
			}
		}
	}
	for _, tt := range []struct {
		at   Time
		want string
	}{
		{Time{-1, 500000000}, "1969-12-31T23:59:59.5Z"},
		{Time{10413792000, 1}, "2300-01-01T00:00:00.000000001Z"},
		{Time{maxDate, 0}, "9999-12-31T23:59:59Z"},
		{Time{maxDate + 1, 0}, ""},
		{Time{minDate, 0}, "0000-01-01T00:00:00Z"},
		{Time{minDate - 1, 0}, ""},
		{Time{math.MaxInt64, 0}, ""},
		{Time{math.MinInt64, 0}, ""},
	} {
		if got := string(tt.at.AppendFormat(nil, time.RFC3339Nano)); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.at, got, tt.want)
		}
	}
}
