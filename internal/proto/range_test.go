package proto

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	const huge = "9223372036854775808000000000000000000000"
	tests := []struct {
		name, value string
		size        int64
		want        []Range
	}{
		{"14.1.2 first bytes", "bytes=0-4", 10, []Range{{0, 5}}},
		{"14.1.2 one byte", "bytes=9-9", 10, []Range{{9, 1}}},
		{"14.1.2 open", "bytes=5-", 10, []Range{{5, 5}}},
		{"14.1.2 all", "bytes=0-", 10, []Range{{0, 10}}},
		{"14.1.2 suffix", "bytes=-3", 10, []Range{{7, 3}}},
		{"14.1.2 suffix longer than the file", "bytes=-30", 10, []Range{{0, 10}}},
		{"14.1.2 clamped", "bytes=5-100", 10, []Range{{5, 5}}},
		{"14.1.2 overflow of the last position", "bytes=5-" + huge, 10, []Range{{5, 5}}},
		{"14.1.2 overflow of a suffix", "bytes=-" + huge, 10, []Range{{0, 10}}},
		{"14.1.2 overflow of the first position", "bytes=" + huge + "-", 10, nil},
		{"14.1.2 overflow of both", "bytes=" + huge + "-" + huge, 10, nil},
		{"14.1.2 behind the end", "bytes=10-", 10, nil},
		{"14.1.2 behind the end, closed", "bytes=10-20", 10, nil},
		{"14.1.2 suffix of nothing", "bytes=-0", 10, nil},
		{"14.1.2 some satisfiable", "bytes=100-200,2-3", 10, []Range{{2, 2}}},
		{"14.1 unit in capitals", "BYTES=0-0", 10, []Range{{0, 1}}},
		{"14.1 leading zeros", "bytes=0001-0002", 10, []Range{{1, 2}}},
		{"5.6.1.2 empty elements", "bytes= , 0-0 ,,	5-5 ,", 10, []Range{{0, 1}, {5, 1}}},
		{"14.2 several", "bytes=0-1,4-5,8-", 10, []Range{{0, 2}, {4, 2}, {8, 2}}},
		{"14.2 order of the request", "bytes=8-9,0-1", 10, []Range{{8, 2}, {0, 2}}},
		{"15.3.7.2 overlapping", "bytes=0-4,2-6", 10, []Range{{0, 7}}},
		{"15.3.7.2 the same", "bytes=1-2,1-2,1-2", 10, []Range{{1, 2}}},
		{"15.3.7.2 touching", "bytes=0-1,2-3", 10, []Range{{0, 4}}},
		{"15.3.7.2 touching in reverse", "bytes=2-3,0-1", 10, []Range{{0, 4}}},
		{"15.3.7.2 one between", "bytes=0-1,3-4", 10, []Range{{0, 2}, {3, 2}}},
		{"15.3.7.2 joined by a third", "bytes=0-1,4-5,2-3", 10, []Range{{0, 6}}},
		{"15.3.7.2 contained", "bytes=4-5,0-9", 10, []Range{{0, 10}}},
		{"15.3.7.2 a suffix overlaps", "bytes=5-7,-4", 10, []Range{{5, 5}}},
		{"14.2 largest size", "bytes=0-", math.MaxInt64, []Range{{0, math.MaxInt64}}},
		{"14.2 last byte of the largest size", "bytes=9223372036854775806-", math.MaxInt64, []Range{{math.MaxInt64 - 1, 1}}},
		{"14.2 beyond 2^62", "bytes=9000000000000000001-9000000000000000002", math.MaxInt64, []Range{{9000000000000000001, 2}}},
		{"14.2 beyond 2^58", "bytes=500000000000000007-500000000000000007", 1 << 60, []Range{{500000000000000007, 1}}},
		{"14.2 the largest position", "bytes=5-9223372036854775807", 10, []Range{{5, 5}}},
		{"14.2 beyond 32 bits", "bytes=4294967296-4294967297", 1 << 40, []Range{{1 << 32, 2}}},
	}
	for _, tt := range tests {
		t.Run("9110-"+tt.name, func(t *testing.T) {
			got, outcome := ParseRange(nil, []byte(tt.value), tt.size)
			if outcome != RangeTaken || !slices.Equal(got, tt.want) {
				t.Errorf("%q of %d: %v %v, want %v", tt.value, tt.size, got, outcome, tt.want)
			}
		})
	}
}

func TestParseRangeIgnores(t *testing.T) {
	for _, value := range []string{
		"", "bytes", "bytes=", "bytes=,", "bytes= ", "bytes", "byte=0-1", "items=0-1", "bytes:0-1", "bytes 0-1", "bytes =0-1",
		"bytes=0", "bytes=-", "bytes=--1", "bytes=1--2", "bytes=a-b", "bytes=0-b", "bytes=a-", "bytes=-a", "bytes=5-4",
		"bytes=+1-2", "bytes=0x1-2", "bytes=1-2-3", "bytes=1 -2", "bytes=1- 2", "bytes=0-1;2-3", "bytes=0-1,x", "bytes=0-1,5-4",
		"bytes=0-1 2-3", "bytes=*", "bytes=0-*", "bytes=1.0-2", "bytes=\"0-1\"", "bytes=0-1,bytes=2-3", "seconds=1-2", "none",
	} {
		if got, outcome := ParseRange(nil, []byte(value), 10); outcome == RangeTaken {
			t.Errorf("9110-14.2: %q is taken for %v", value, got)
		}
	}
}

// Any range of an empty file results in the whole file.
func TestParseRangeOfNothing(t *testing.T) {
	for _, value := range []string{"bytes=0-", "bytes=0-0", "bytes=0-1048575", "bytes=-1", "bytes=-0", "bytes=5-9,0-0", "bytes=5-4"} {
		if got, outcome := ParseRange(nil, []byte(value), 0); outcome == RangeTaken || len(got) > 0 {
			t.Errorf("9110-14.2: %q of an empty file is taken for %v", value, got)
		}
	}
}

// CVE-2011-3192: many ranges cost no more than one file.
func TestParseRangeAbuse(t *testing.T) {
	list := func(n int, spec func(i int) string) []byte {
		specs := make([]string, n)
		for i := range specs {
			specs[i] = spec(i)
		}
		return []byte("bytes=" + strings.Join(specs, ","))
	}
	apart := func(i int) string { return fmt.Sprintf("%d-%d", 2*i, 2*i) }
	if got, outcome := ParseRange(nil, list(MaxRanges, apart), 1000); outcome != RangeTaken || len(got) != MaxRanges {
		t.Errorf("%d ranges: %d %v", MaxRanges, len(got), outcome)
	}
	if got, outcome := ParseRange(nil, list(MaxRanges+1, apart), 1000); outcome == RangeTaken {
		t.Errorf("%d ranges: %d", MaxRanges+1, len(got))
	}
	if got, outcome := ParseRange(nil, list(MaxRanges+1, func(int) string { return "5000-" }), 1000); outcome == RangeTaken {
		t.Errorf("%d unsatisfiable ranges: %d", MaxRanges+1, len(got))
	}
	same := func(i int) string { return fmt.Sprintf("5-,%d-", i) }
	if got, outcome := ParseRange(nil, list(MaxRanges/2, same), 1000); outcome != RangeTaken || len(got) != 1 || got[0] != (Range{0, 1000}) {
		t.Errorf("overlapping: %v %v", got, outcome)
	}
}

func TestAppendContentRange(t *testing.T) {
	if got := AppendContentRange([]byte("x"), Range{2, 3}, 10); string(got) != "xbytes 2-4/10" {
		t.Errorf("9110-14.4: %q", got)
	}
}
