package human

import (
	"math"
	"testing"
)

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		Count(0): "0", Count(999): "999", Count(1000): "1,000", Count(1234567): "1,234,567",
		Rate(0.04): "0.0", Rate(9.96): "10.0", Rate(12345.6): "12,346",
		Bytes(5): "5 B", Bytes(999): "999 B", Bytes(1000): "1.00 kB", Bytes(1536): "1.54 kB", Bytes(23.25e6): "23.3 MB", Bytes(5e12): "5.00 TB",
		Seconds(0.000184): "184 µs", Seconds(0.0009996): "1.00 ms", Seconds(0.0123): "12.3 ms", Seconds(0.9996): "1.00 s", Seconds(59.5): "59.5 s",
		Seconds(0): None, Seconds(431.7): "7 min 11 s",
		Age(0.5): "0 s", Age(3661): "1 h 1 min", Age(27*3600 + 5*60): "1 d 3 h",
		Percent(0.625): "63 %", Bytes(-1): None, Bytes(math.NaN()): None, Bytes(1e300): "999 EB",
		Plural(0, "entry", "entries"): "0 entries", Plural(1, "entry", "entries"): "1 entry", Plural(1234, "entry", "entries"): "1,234 entries",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
