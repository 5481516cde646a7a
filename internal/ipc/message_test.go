package ipc

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// golden is the message table of docs/ipc.md. The bytes must not change between versions.
var golden = []struct {
	m    Message
	wire string
}{
	{Ready{PID: 4711, Version: "0.1.0"}, "\x01\x00\x00\x12\x670.1.0"},
	{Ready{PID: 1<<31 - 1}, "\x01\x7f\xff\xff\xff"},
	{Failed{ExitCode: 78, Reason: "open root: günstig"}, "\x02\x4eopen root: g\xc3\xbcnstig"},
	{Failed{}, "\x02\x00"},
	{Serve{}, "\x03"},
	{Draining{}, "\x04"},
	{QueueLeft{}, "\x18"},
	{CanHandOver{}, "\x05"},
	{TakeOver{}, "\x06"},
	{Drain{}, "\x07\x00"},
	{Drain{Queue: true}, "\x07\x01"},
	{Alive{}, "\x08"},
	{Recycle{Reason: "9 requests"}, "\x099 requests"},
	{Show{ID: 259}, "\x0b\x00\x00\x01\x03"},
	{Shown{ID: 1<<32 - 1}, "\x0c\xff\xff\xff\xff"},
	{Rescue{Blame: BlameBusy}, "\x0f\x02"},
	{Rescued{Connections: 1, Ended: 2, Reset: 3, Fixed: 4, Blamed: 5, Lost: 1<<31 - 1, Bytes: 1 << 40}, "\x10\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\x7f\xff\xff\xff\x00\x00\x01\x00\x00\x00\x00\x00"},
	{Credentials{ID: 258}, "\x11\x00\x00\x01\x02"},
	{QueuesEmpty{}, "\x15"},
	{Share{Slots: MaxSlots}, "\x17\x04\x00"},
	{Job{Kind: JobBrotli, From: 4711}, "\x19\x03\x00\x00\x12\x67"},
	{JobDone{Kind: JobGzip, Outcome: JobFailed, Before: 1, After: 2, Waiting: 3, Kept: 4, Reason: "no"}, "\x1a\x01\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x04no"},
	{CredentialsUsed{ID: 1<<32 - 1}, "\x12\xff\xff\xff\xff"},
	{CredentialsRefused{Reason: "damaged"}, "\x13damaged"},
	{Remaining{Connections: 258, Bytes: 1<<40 + 3}, "\x0a\x00\x00\x01\x02\x00\x00\x01\x00\x00\x00\x00\x03"},
}

func TestGolden(t *testing.T) {
	for _, tt := range golden {
		if got := Encode(tt.m); string(got) != tt.wire {
			t.Errorf("Encode(%+v) = %q, want %q", tt.m, got, tt.wire)
		}
		if got, err := Decode([]byte(tt.wire)); err != nil || got != tt.m {
			t.Errorf("Decode(%q) = %+v, %v, want %+v", tt.wire, got, err, tt.m)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, wire := range []string{
		"", "\x00", "\x0b", "\xff", // no such kind
		"\x01", "\x01\x00\x00\x00", // cut
		"\x01\x00\x00\x00\x00v", "\x01\x80\x00\x00\x00v", // pid
		"\x02", "\x03x", "\x04x", "\x05x", "\x06x", "\x07", "\x07\x02", "\x07\x00x", "\x08x", "\x0a\x00", // length
		"\x0a\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x0a\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00", // range
		"\x19\x00\x00\x00\x00\x00", "\x19\x06\x00\x00\x00\x00", "\x19\x01\x80\x00\x00\x00", "\x19\x01", "\x1a\x01\x04", // jobs
		"\x17\x00\x00", "\x17\x04\x01", "\x17\x01", // slots
		"\x02\x01\xff", "\x01\x00\x00\x00\x01\xc3", "\x09\xff", // not UTF-8
		"\x02\x01" + strings.Repeat("x", MaxMessage-1),
	} {
		if m, err := Decode([]byte(wire)); err == nil {
			t.Errorf("Decode(%.20q) = %+v", wire, m)
		}
	}
}

func TestEncodeFits(t *testing.T) {
	for shift := range 3 {
		text := strings.Repeat("x", shift) + strings.Repeat("€", MaxMessage)
		for _, m := range []Message{Ready{PID: 1, Version: text}, Failed{ExitCode: 1, Reason: text}, Failed{Reason: "\xff" + text}} {
			p := Encode(m)
			if len(p) > MaxMessage || len(p) < MaxMessage-3 || !utf8.Valid(p[5:]) && !utf8.Valid(p[2:]) {
				t.Errorf("%T: %d bytes, ends in %q", m, len(p), p[len(p)-4:])
			}
			if _, err := Decode(p); err != nil {
				t.Errorf("%T: %v", m, err)
			}
		}
	}
}

// FuzzDecode checks that Decode accepts only what Encode writes.
func FuzzDecode(f *testing.F) {
	for _, tt := range golden {
		f.Add([]byte(tt.wire))
	}
	f.Add([]byte("\x01\x00\x00"))
	f.Add([]byte("\x02\x01\xff"))
	f.Add([]byte("\x04\x04"))
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := Decode(p)
		if err != nil {
			return
		}
		if again := Encode(m); !bytes.Equal(again, p) {
			t.Fatalf("%q decodes to %+v, which encodes to %q", p, m, again)
		}
	})
}
