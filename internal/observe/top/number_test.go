package top

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{rate(0), "0"}, {rate(0.34), "0.3"}, {rate(9.96), "10"}, {rate(12345.4), "12345"}, {rate(123456), "123k"}, {rate(1.25e6), "1.2M"},
		{count(0), "0"}, {count(9999), "9999"}, {count(10_000), "10k"}, {count(999_999), "1.0M"}, {count(-1), "-"},
		{size(999), "999"}, {size(1000), "1.0k"}, {size(999_499), "999k"}, {size(999_999), "1.0M"}, {size(4_700_000_000), "4.7G"},
		{size(math.MaxInt64), "9.2E"}, {size(-5), "-"},
		{megabytes(0), "0"}, {megabytes(1_234_567), "1.23"}, {megabytes(12.345e6), "12.3"}, {megabytes(123.9e6), "124"}, {megabytes(12e9), "12k"},
		{latency(0), "-"}, {latency(1e-9), "1µs"}, {latency(0.000999), "999µs"}, {latency(0.0009999), "1.0ms"},
		{latency(0.00999), "10ms"}, {latency(0.9999), "1.0s"}, {latency(75), "1m15s"},
		{age(0), "0.0s"}, {age(9.96), "10s"}, {age(59.4), "59s"}, {age(59.6), "1m00s"}, {age(247), "4m07s"}, {age(720), "12m"},
		{age(3*3600 + 420), "3h07m"}, {age(23 * 3600), "23h"}, {age(76 * 3600), "3d04h"}, {age(1e9), "9999d"},
		{wholePercent(0.9999), "99%"}, {wholePercent(1), "100%"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// A number fits its column, whatever the server sends.
func TestNumbersAreNarrow(t *testing.T) {
	for _, v := range []float64{0, 1e-12, 0.5, 9.994, 9.996, 99.94, 99.96, 999.4, 999.6, 9999.4, 9999.6, 99999.6, 999999, 1e7, 1e10, 1e13, 1e16, 1e19, 1e300, math.Inf(1), math.NaN(), -1, math.Inf(-1)} {
		for name, c := range map[string]struct {
			got   string
			cells int
		}{
			"rate": {rate(v), 5}, "megabytes": {megabytes(v), 4}, "latency": {latency(v), 5}, "age": {age(v), 5}, "percent": {percent(v), 4},
		} {
			if textWidth(c.got) > c.cells || c.got == "" {
				t.Errorf("%s of %v is %q", name, v, c.got)
			}
		}
	}
	for v := int64(1); v > 0; v *= 3 {
		if s := size(v) + count(int(v)); len(size(v)) > 4 || len(count(int(v))) > 4 {
			t.Errorf("%d is %q", v, s)
		}
	}
}

func TestUptime(t *testing.T) {
	for up, want := range map[time.Duration]string{
		0: "0s", 1200 * time.Millisecond: "1s", 59 * time.Second: "59s", 5 * time.Minute: "5m", 3*time.Hour + time.Minute: "3h",
		50 * time.Hour: "2d", 400 * 24 * time.Hour: "400d",
	} {
		if got := uptime(up.Seconds()); got != want {
			t.Errorf("%v: %q, want %q", up, got, want)
		}
	}
}

func TestSpark(t *testing.T) {
	for _, c := range []struct {
		values       []float64
		cells, lines int
		want         string
	}{
		{nil, 3, 1, "   "},
		{[]float64{0, 0}, 3, 1, " ▁▁"},
		{[]float64{1, 0, 4, 8}, 4, 1, "▂▁▄█"},
		{[]float64{9, 9, 0.001, 8}, 2, 1, "▂█"},
		{[]float64{0, 4, 8}, 3, 2, "  █|▁██"},
		{[]float64{math.NaN(), -3, 1}, 3, 1, "▁▁█"},
		{[]float64{1}, 0, 1, ""},
		{[]float64{1}, 1, 0, ""},
	} {
		got := strings.Join(spark(c.values, c.cells, c.lines), "|")
		if got != c.want {
			t.Errorf("spark(%v, %d, %d) = %q, want %q", c.values, c.cells, c.lines, got, c.want)
		}
	}
}

func TestBar(t *testing.T) {
	for share, want := range map[float64]string{0: "░░░░", 0.5: "██░░", 0.999: "███░", 1: "████", 7: "████", -1: "░░░░"} {
		if got := bar(share, 4); got != want {
			t.Errorf("%v: %q, want %q", share, got, want)
		}
	}
}

func TestStretch(t *testing.T) {
	values := make([]float64, minute)
	for i := range values {
		values[i] = float64(i)
	}
	if got := stretch(values, 120); len(got) != 120 || got[0] != 0 || got[1] != 0 || got[119] != 59 {
		t.Errorf("a minute over 120 cells: %v", got)
	}
	if got := stretch(values[50:], 90); len(got) != 15 || got[0] != 50 || got[14] != 59 {
		t.Errorf("ten seconds over 90 cells: %v", got)
	}
	if got := stretch(values[:10], 40); len(got) != 10 {
		t.Errorf("a narrow window: %v", got)
	}
}
