package proto

import (
	"testing"
	"time"
)

// exampleTime is the example of RFC 9110 §5.6.7.
const exampleTime = 784111777

func TestParseDate(t *testing.T) {
	at := func(y int, m time.Month, d int) int64 { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() }
	now := at(2026, time.June, 1)
	tests := []struct {
		name, in string
		want     int64
	}{
		{"9110-5.6.7 IMF-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", exampleTime},
		{"9110-5.6.7 rfc850-date", "Sunday, 06-Nov-94 08:49:37 GMT", exampleTime},
		{"9110-5.6.7 asctime-date", "Sun Nov  6 08:49:37 1994", exampleTime},
		{"9110-5.6.7 asctime-date with two digits", "Wed Nov 16 08:49:37 1994", exampleTime + 10*86400},
		{"9110-5.6.7 leap day", "Thu, 29 Feb 2024 00:00:00 GMT", at(2024, time.February, 29)},
		{"9110-5.6.7 before 1970", "Wed, 31 Dec 1969 23:59:59 GMT", -1},
		{"9110-5.6.7 year 9999", "Fri, 31 Dec 9999 00:00:00 GMT", at(9999, time.December, 31)},
		{"9110-5.6.7 two digits, now", "Monday, 01-Jun-26 00:00:00 GMT", now},
		{"9110-5.6.7 two digits, fifty years ahead", "Monday, 01-Jun-76 00:00:00 GMT", at(2076, time.June, 1)},
		{"9110-5.6.7 two digits, more than fifty years ahead", "Wednesday, 01-Jun-77 00:00:00 GMT", at(1977, time.June, 1)},
		{"9110-5.6.7 two digits, 69", "Saturday, 01-Jun-69 00:00:00 GMT", at(2069, time.June, 1)},
		{"9110-5.6.7 two digits, 00", "Tuesday, 29-Feb-00 00:00:00 GMT", at(2000, time.February, 29)},
		{"9110-5.6.7 two digits, a leap day of the last century", "Thursday, 29-Feb-96 00:00:00 GMT", at(1996, time.February, 29)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := ParseDate([]byte(tt.in), now); !ok || got != tt.want {
				t.Errorf("%q: %d %v, want %d", tt.in, got, ok, tt.want)
			}
		})
	}
}

func TestParseDateRefuses(t *testing.T) {
	for _, in := range []string{
		"", "0", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000",
		"Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Noe 1994 08:49:37 GMT", "Xxx, 06 Nov 1994 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT",
		"Sun, 06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT", "1994-11-06T08:49:37Z", "784111777",
		"Sun Nov 06 08:49:37 1994 GMT", "Sun, 29 Feb 2023 00:00:00 GMT", "\x00\x00\x00, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 19940 8:49:37 GMT",
	} {
		if got, ok := ParseDate([]byte(in), exampleTime); ok {
			t.Errorf("9110-5.6.7: %q is taken for %d", in, got)
		}
	}
}

func TestAppendDate(t *testing.T) {
	if got := AppendDate([]byte("x"), exampleTime); string(got) != "xSun, 06 Nov 1994 08:49:37 GMT" {
		t.Errorf("9110-5.6.7: %q", got)
	}
	if n := len(AppendDate(nil, exampleTime)); n != DateLen {
		t.Errorf("length %d, DateLen %d", n, DateLen)
	}
}
