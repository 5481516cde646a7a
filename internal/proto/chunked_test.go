package proto

import (
	"fmt"
	"strings"
	"testing"
)

// discarded is the outcome of a Discarder for some bytes.
type discarded struct {
	n     int
	done  bool
	fault Fault
}

// discardCut passes the bytes in pieces that end at the given offsets.
func discardCut(raw []byte, ends ...int) (o discarded) {
	var d Discarder
	for _, end := range ends {
		var n int
		n, o.done, o.fault = d.Discard(raw[o.n:end:end])
		o.n += n
		if o.done || o.fault.Status != 0 {
			break
		}
	}
	return o
}

func discardEverySplit(t testing.TB, raw []byte) discarded {
	t.Helper()
	whole := discardCut(raw, len(raw))
	if o := discardCut(raw, each(len(raw))...); o != whole {
		t.Fatalf("byte by byte: %+v\nwhole: %+v", o, whole)
	}
	for i := 0; i < len(raw); i += 1 + len(raw)/1000 {
		if o := discardCut(raw, i, len(raw)); o != whole {
			t.Fatalf("cut at %d: %+v\nwhole: %+v", i, o, whole)
		}
	}
	return whole
}

func TestDiscardAccepts(t *testing.T) {
	tests := []struct{ name, raw string }{
		{"9112-7.1 empty", "0\r\n\r\n"},
		{"9112-7.1 one chunk", "5\r\nhello\r\n0\r\n\r\n"},
		{"9112-7.1 chunks", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"},
		{"9112-7.1 hexadecimal in both cases", "a\r\n0123456789\r\nA\r\n0123456789\r\n1f\r\n" + strings.Repeat("x", 31) + "\r\n0\r\n\r\n"},
		{"9112-7.1 zeros", "00000001\r\nx\r\n00000000\r\n\r\n"},
		{"9112-7.1 data that looks like an end", "7\r\n0\r\n\r\nGE\r\n0\r\n\r\n"},
		{"9112-7.1 data of CR and LF", "2\r\n\r\n\r\n0\r\n\r\n"},
		{"9112-7.1.1 extension", "1;a=b;c=\"d;e\";f\r\nx\r\n0;g\r\n\r\n"},
		{"9112-7.1.1 white space in an extension", "1; a = b\r\nx\r\n0\r\n\r\n"},
		{"9112-7.1.1 longest extension", "0;" + strings.Repeat("a", maxChunkExtra-1) + "\r\n\r\n"},
		{"9112-7.1.2 trailers", "0\r\nA: b\r\nC:\r\nContent-Length: 5\r\n\r\n"},
		{"9110-5.5 obs-text in a trailer", "0\r\nA: \xe9\tb\r\n\r\n"},
		{"9110-8.6 longest body", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", MaxBody, strings.Repeat("x", MaxBody))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := []byte(tt.raw + "GET / HTTP/1.1\r\n")
			want := discarded{n: len(tt.raw), done: true}
			if len(raw) > MaxBody {
				if o := discardCut(raw, len(raw)); o != want {
					t.Errorf("%+v, want %+v", o, want)
				}
				return
			}
			if o := discardEverySplit(t, raw); o != want {
				t.Errorf("%+v, want %+v", o, want)
			}
			for i := 0; i < len(tt.raw); i += 1 + len(tt.raw)/1000 {
				if o := discardCut(raw, i); o != (discarded{n: i}) {
					t.Fatalf("after %d of %d bytes: %+v", i, len(tt.raw), o)
				}
			}
		})
	}
}

func TestDiscardRefuses(t *testing.T) {
	tests := []struct {
		name, raw string
		status    Status
	}{
		{"9112-7.1 no size", "\r\nx\r\n0\r\n\r\n", 400},
		{"9112-7.1 sign", "+1\r\nx\r\n0\r\n\r\n", 400},
		{"9112-7.1 negative", "-1\r\nx\r\n0\r\n\r\n", 400},
		{"9112-7.1 prefix", "0x1\r\nx\r\n0\r\n\r\n", 400},
		{"9112-7.1 underscore", "1_0\r\n", 400},
		{"9112-7.1 space before the size", " 1\r\nx\r\n", 400},
		{"9112-7.1 space behind the size", "1 \r\nx\r\n", 400},
		{"9112-7.1 no digit", "g\r\n", 400},
		{"9112-7.1 LF alone behind the size", "1\nx\r\n0\r\n\r\n", 400},
		{"9112-7.1 CR alone behind the size", "1\rx\r\n0\r\n\r\n", 400},
		{"9112-7.1 LF alone behind the data", "1\r\nx\n0\r\n\r\n", 400},
		{"9112-7.1 CR alone behind the data", "1\r\nx\r0\r\n\r\n", 400},
		{"9112-7.1 LF alone behind the last chunk", "0\n\r\n", 400},
		{"9112-7.1 LF alone at the end", "0\r\n\n", 400},
		{"9112-7.1 CR alone at the end", "0\r\n\rX", 400},
		{"9112-7.1 more data than announced", "1\r\nxy\r\n0\r\n\r\n", 400},
		{"9112-7.1 less data than announced", "3\r\nx\r\n0\r\n\r\n", 400},
		{"9112-7.1 overflow", "10000000000000001\r\nx\r\n0\r\n\r\n", 413},
		{"9112-7.1 zeros beyond the limit", "000000001\r\nx\r\n0\r\n\r\n", 413},
		{"9112-7.1.1 control in an extension", "1;a\x00\r\nx\r\n", 400},
		{"9112-7.1.1 LF in an extension", "1;a\nx\r\n0\r\n\r\n", 400},
		{"9112-7.1.1 CR in an extension", "1;a\rb\r\nx\r\n", 400},
		{"9112-7.1.1 extension too long", "0;" + strings.Repeat("a", maxChunkExtra) + "\r\n\r\n", 413},
		{"9112-7.1.1 extensions too long in all", strings.Repeat("1;abcdefg\r\nx\r\n", maxChunkExtra/8+1), 413},
		{"9112-7.1.2 trailers too long in all", "0\r\n" + strings.Repeat("a:b\r\n", maxChunkExtra/3+1), 413},
		{"9112-7.1.2 trailer without a name", "0\r\n: b\r\n\r\n", 400},
		{"9112-7.1.2 trailer without a colon", "0\r\nab\r\n\r\n", 400},
		{"9112-5.1 space before the colon", "0\r\na : b\r\n\r\n", 400},
		{"9112-5.2 folded trailer", "0\r\na: b\r\n c\r\n\r\n", 400},
		{"9110-5.5 control in a trailer", "0\r\na: \x7f\r\n\r\n", 400},
		{"9112-2.2 LF alone behind a trailer", "0\r\na: b\n\r\n", 400},
		{"9112-2.2 CR in a trailer", "0\r\na: b\rc\r\n\r\n", 400},
		{"9110-15.5.14 body too long", fmt.Sprintf("%x\r\n", MaxBody+1), 413},
		{"9110-15.5.14 body too long in all", "1\r\nx\r\n" + fmt.Sprintf("%x\r\n", MaxBody), 413},
		{"9110-15.5.14 largest size", "ffffffff\r\n", 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := discardEverySplit(t, []byte(tt.raw))
			if o.done || o.fault.Status != tt.status || o.fault.Reason == "" || !strings.HasPrefix(o.fault.Rule, "RFC ") {
				t.Errorf("%+v, want status %d and a reason", o, tt.status)
			}
		})
	}
}

func TestUnescape(t *testing.T) {
	tests := []struct {
		in   string
		want byte
		ok   bool
	}{
		{"%41", 'A', true}, {"%4aX", 'J', true}, {"%fF", 0xff, true}, {"%00", 0, true},
		{"%", 0, false}, {"%4", 0, false}, {"%4g", 0, false}, {"%g4", 0, false}, {"%%4", 0, false}, {"% 4", 0, false},
	}
	for _, tt := range tests {
		if c, ok := Unescape([]byte(tt.in)); c != tt.want || ok != tt.ok {
			t.Errorf("3986-2.1: %q: %#x %v, want %#x %v", tt.in, c, ok, tt.want, tt.ok)
		}
	}
}
